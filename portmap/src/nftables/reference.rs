//! What the reference's nftables backend left: rules in tables of the name `cni_hostport`, one per
//! family, whose comment is the container ID and nothing else.

use common::sys::netlink::Refusal;

use super::command::{Action, Command};
use super::object::Rule;
use super::remove::Removal;
use super::socket::{Nft, Place};
use super::translation;
use crate::mapping::Family;

/// The reference's table.
const TABLE: &str = "cni_hostport";
/// Its chains that hold rules of containers. The second one is of older versions.
const CHAINS: [&str; 3] = ["hostports", "hostip_hostports", "masquerading"];

/// Every rule of a family that has a container's ID for comment.
///
/// # Errors
/// What the kernel refused.
pub fn rules(nft: &mut Nft, family: Family) -> Result<Vec<Rule>, Refusal> {
    let place = Place {
        family,
        table: TABLE,
    };
    let mut rules = Vec::new();
    if nft.table(place)?.is_some() {
        for chain in CHAINS {
            rules.extend(nft.rules(place, chain)?);
        }
    }
    rules.retain(|rule| rule.comment.is_some());
    Ok(rules)
}

/// The deletion of every rule of the containers asked for, in a family.
///
/// # Errors
/// What the kernel refused.
pub fn removal(
    nft: &mut Nft,
    family: Family,
    is_asked: impl Fn(&str) -> bool,
) -> Result<Removal, Refusal> {
    let place = Place {
        family,
        table: TABLE,
    };
    let mut removal = Removal::default();
    if nft.table(place)?.is_none() {
        return Ok(removal);
    }
    for chain in CHAINS {
        for rule in nft.rules(place, chain)? {
            if rule.comment.as_deref().is_some_and(&is_asked) {
                removal.stale.extend(translation::of_rule(family, &rule));
                let (chain, handle) = (chain.to_owned(), Some(rule.handle));
                let action = Action::DeleteRule { chain, handle };
                removal.commands.push(Command { place, action });
            }
        }
    }
    Ok(removal)
}
