//! A row of the table of host ports.

use std::net::IpAddr;

use common::Attachment;
use common::result::Prefix;
pub use nft::object::Counters;

use super::at::At;
use crate::host_port::Forward;

/// What holds the rules of the reference's nftables backend.
pub const REFERENCE: &str = "nftables-reference";

/// A host port, and what is known of it.
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
    /// The node's addresses that limits leave, where the port has no address of its own; `None` for all of its IP
    /// version.
    pub limits: Option<At>,
    /// Whether only some packets match, by conditions of the attachment.
    pub is_conditional: bool,
    /// Whether any rule leads here.
    pub is_reached: bool,
}

impl Row {
    /// Whether an entry of its attachment's list has made it, or may have: the reference does not say which.
    pub fn may_be_of(&self, entry: Option<&str>) -> bool {
        let is_alone = self.is_conditional || self.limits.is_some();
        let is_unmarked = is_alone || self.backend == REFERENCE;
        self.entry.as_deref() == entry || self.entry.is_none() && is_unmarked
    }

    /// The node's addresses on which it is mapped; `None` for all of its IP version.
    pub fn at(&self) -> Option<At> {
        let single = self
            .forward
            .port
            .address
            .map(|addr| At::of(&[Prefix::whole(addr)]));
        single.or_else(|| self.limits.clone())
    }

    /// Whether it is mapped on an address of its IP version.
    pub fn is_on(&self, addr: IpAddr) -> bool {
        match (self.forward.port.address, &self.limits) {
            (Some(own), _) => own == addr,
            (None, Some(limits)) => limits.has(addr),
            (None, None) => true,
        }
    }
}
