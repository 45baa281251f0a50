//! A row of the table of host ports.

use common::Attachment;
pub use nft::object::Counters;

use crate::host_port::Forward;

/// What holds the rules of the reference's nftables backend.
pub const REFERENCE: &str = "nftables-reference";

/// A host port, and what is known of it. Without an address, it is mapped on all of the container's IP
/// version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What leads where.
    pub forward: Forward,
    /// Whom it belongs to, as far as the state says so; what it does not say is empty.
    pub owner: Attachment,
    /// Which entry of its list has made it, see [`crate::entry`]; `None` for the plain one, or where the state
    /// does not say so.
    pub entry: Option<String>,
    /// What holds it: `iptables-nft`, `iptables-legacy`, `nftables`, or the reference's table.
    pub backend: &'static str,
    /// What the kernel counted, where it does: the first packet of each connection.
    pub counters: Option<Counters>,
    /// Whether only some packets match, by conditions of the attachment.
    pub is_conditional: bool,
    /// Whether any rule leads here.
    pub is_reached: bool,
}

impl Row {
    /// Whether an entry of its attachment's list has made it, or may have: the reference does not say which.
    pub fn may_be_of(&self, entry: Option<&str>) -> bool {
        let is_unmarked = self.is_conditional || self.backend == REFERENCE;
        self.entry.as_deref() == entry || self.entry.is_none() && is_unmarked
    }
}
