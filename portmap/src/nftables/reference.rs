//! What the reference's nftables backend left: rules in tables of the name `cni_hostport`, one per
//! family, whose comment is the container ID and nothing else.

use common::sys::netlink::Refusal;

use super::command::{Action, Command};
use super::socket::{Nft, Place};
use crate::mapping::Family;

/// The reference's table.
const TABLE: &str = "cni_hostport";
/// Its chains that hold rules of containers. The second one is of older versions.
const CHAINS: [&str; 3] = ["hostports", "hostip_hostports", "masquerading"];

/// The deletion of every rule of the containers asked for, in a family.
///
/// # Errors
/// What the kernel refused.
pub fn deletions(
    nft: &mut Nft,
    family: Family,
    is_asked: impl Fn(&str) -> bool,
) -> Result<Vec<Command>, Refusal> {
    let place = Place {
        family,
        table: TABLE,
    };
    let mut commands = Vec::new();
    if nft.table(place)?.is_none() {
        return Ok(commands);
    }
    for chain in CHAINS {
        let rules = nft.rules(place, chain)?;
        let asked = rules
            .into_iter()
            .filter(|rule| rule.comment.as_deref().is_some_and(&is_asked));
        commands.extend(asked.map(|rule| {
            let (chain, handle) = (chain.to_owned(), Some(rule.handle));
            let action = Action::DeleteRule { chain, handle };
            Command { place, action }
        }));
    }
    Ok(commands)
}
