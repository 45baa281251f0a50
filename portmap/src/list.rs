//! Every host port of the node, in every backend, for the tool for people.

pub mod at;
mod listen;
mod missing;
pub mod row;

use common::Attachment;
use common::cache::{Cache, Index};
use common::error::Error;

use crate::backends;

pub use listen::{Listener, Process, listeners};
pub use missing::{is_same, missing};
use row::Row;

/// Every host port, in the order in which each backend asks for them.
///
/// # Errors
/// What could not be read.
pub fn forwards() -> Result<Vec<Row>, Error> {
    backends::list()
}

/// Completes what the state does not say of owners from the runtime's cache, where that leaves no
/// doubt: iptables' comments name no `eth0`, and the reference's nftables rules name a container alone.
pub fn complete(forwards: &mut [Row], cache: &Index<'_>) {
    for Row { owner, .. } in forwards {
        if owner.container.is_empty() {
            continue;
        }
        if let Some(entry) = cache.find_one(owner) {
            *owner = entry.attachment.clone();
        }
    }
}

/// The owners of all of them, as far as the state says so, completed from the cache: the network of what
/// the reference's nftables backend made stays empty where the cache does not know the container.
///
/// # Errors
/// What could not be read.
pub(crate) fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
    let mut forwards = forwards()?;
    complete(&mut forwards, &cache.index());
    Ok(forwards.into_iter().map(|forward| forward.owner).collect())
}
