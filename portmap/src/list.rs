//! Every host port of the node, in every backend, for the tool for people.

mod listen;
mod missing;

use std::net::{IpAddr, SocketAddr};

use common::cache::{Cache, Entry};
use common::error::Error;
use common::{Attachment, Protocol};

use crate::{iptables, nftables};

pub use listen::{Listener, Process, listeners};
pub use missing::{is_same, missing};

/// Packets and bytes that a rule has seen: the first ones of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A host port as the kernel's state has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The only address of the node that is mapped, or `None` for all of the container's family.
    pub host_ip: Option<IpAddr>,
    /// The node's port.
    pub host_port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The container's address and port.
    pub to: SocketAddr,
    /// Whom it belongs to, as far as the state says so; what it does not say is empty.
    pub owner: Attachment,
    /// What holds it: `iptables-nft`, `iptables-legacy`, `nftables`, or the reference's table.
    pub backend: &'static str,
    /// What the kernel counted, where it does.
    pub counters: Option<Counters>,
    /// Whether only some packets match, by conditions of the attachment.
    pub is_conditional: bool,
    /// Whether any rule leads here.
    pub is_reached: bool,
}

/// Every host port, in the order in which each backend asks for them.
///
/// # Errors
/// What could not be read.
pub fn forwards() -> Result<Vec<Forward>, Error> {
    let mut all = iptables::list()?;
    all.extend(nftables::list()?);
    Ok(all)
}

/// Completes what the state does not say of owners from the runtime's cache, where that leaves no
/// doubt: iptables' comments name no `eth0`, and the reference's nftables rules name a container alone.
pub fn complete(forwards: &mut [Forward], cache: &Cache) {
    for Forward { owner, .. } in forwards {
        if owner.container.is_empty() {
            continue;
        }
        let known = match owner.network.is_empty() {
            true => only(cache.entries.iter(), &owner.container),
            false => cache.find_one(owner),
        };
        if let Some(entry) = known {
            *owner = entry.attachment.clone();
        }
    }
}

/// The only entry of a container.
fn only<'a>(mut entries: impl Iterator<Item = &'a Entry>, container: &str) -> Option<&'a Entry> {
    let first = entries.find(|entry| entry.attachment.container == container)?;
    entries
        .all(|entry| entry.attachment.container != container)
        .then_some(first)
}

/// The owners of all of them, as far as the state says so, completed from the cache: the network of what
/// the reference's nftables backend made stays empty where the cache does not know the container.
///
/// # Errors
/// What could not be read.
pub(crate) fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
    let mut forwards = forwards()?;
    complete(&mut forwards, cache);
    Ok(forwards.into_iter().map(|forward| forward.owner).collect())
}
