//! What a configuration may choose.

/// The mark bit that asks for masquerading unless the configuration says otherwise. Kubernetes has
/// 14 and 15.
pub const DEFAULT_MARK_BIT: u8 = 13;

/// A backend by its name: what rules are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// `iptables` and `ip6tables`, either variant.
    Iptables,
    /// nf_tables, over netlink.
    Nftables,
}

impl BackendKind {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            BackendKind::Iptables => "iptables",
            BackendKind::Nftables => "nftables",
        }
    }
}

/// How the iptables backend marks packets that need masquerading; the nftables backend always takes
/// the default bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// With this bit, 0 to 31, by chains of our own.
    Bit(u8),
    /// By another tool's chain in the nat table (`externalSetMarkChain`).
    Chain(String),
}

/// What is masqueraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masquerade {
    /// Nothing (`"snat": false`).
    Nothing,
    /// What the container sends to itself through the node, and what the node sends to its own
    /// mapped port from a loopback address.
    Needed,
    /// Everything that goes through a mapping (`"masqAll": true`).
    All,
}

/// What to do about a host port that another attachment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The newest attachment gets the packets. With iptables the older gets them back when the newer
    /// goes; with nftables a port has one owner, and the older's CHECK names the new one.
    Replace,
    /// ADD fails and names the owner.
    Error,
}
