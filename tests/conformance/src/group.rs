//! The plugins, and the backends of portmap.

use std::fmt;

/// Which plugin a case is about, and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Group {
    /// What the CNI specification says of every plugin, seen on `tuning`.
    #[default]
    TuningProtocol,
    /// The same, seen on `portmap`.
    PortmapProtocol,
    /// The same, seen on `bandwidth`.
    BandwidthProtocol,
    /// `tuning`.
    Tuning,
    /// `portmap` where `iptables` is the nf_tables variant.
    PortmapIptablesNft,
    /// `portmap` where `iptables` is the legacy variant.
    PortmapIptablesLegacy,
    /// `portmap` with `"backend": "nftables"`.
    PortmapNftables,
    /// `bandwidth`.
    Bandwidth,
}

impl Group {
    /// All groups, in the order of the report.
    pub const ALL: [Self; 8] = [
        Self::TuningProtocol,
        Self::PortmapProtocol,
        Self::BandwidthProtocol,
        Self::Tuning,
        Self::PortmapIptablesNft,
        Self::PortmapIptablesLegacy,
        Self::PortmapNftables,
        Self::Bandwidth,
    ];

    /// The binary.
    pub fn plugin(self) -> &'static str {
        match self {
            Self::TuningProtocol | Self::Tuning => "tuning",
            Self::BandwidthProtocol | Self::Bandwidth => "bandwidth",
            _ => "portmap",
        }
    }

    /// What portmap's `backend` is set to.
    pub fn backend(self) -> &'static str {
        match self {
            Self::PortmapNftables => "nftables",
            _ => "iptables",
        }
    }

    /// The variant of iptables that `iptables` is for the plugin.
    pub fn variant(self) -> &'static str {
        match self {
            Self::PortmapIptablesLegacy => "legacy",
            _ => "nft",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TuningProtocol => "protocol, tuning",
            Self::PortmapProtocol => "protocol, portmap",
            Self::BandwidthProtocol => "protocol, bandwidth",
            Self::Tuning => "tuning",
            Self::PortmapIptablesNft => "portmap, iptables-nft",
            Self::PortmapIptablesLegacy => "portmap, iptables-legacy",
            Self::PortmapNftables => "portmap, nftables",
            Self::Bandwidth => "bandwidth",
        })
    }
}
