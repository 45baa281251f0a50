//! Host ports that another attachment has (`"onConflict": "error"`).

use std::collections::BTreeSet;

use common::error::{Code, Error};
use common::result::Prefix;
use xtables::state::State;

use super::owner;
use super::reach::destination;
use super::rules::{DNAT, Wanted};
use super::shadow::Forwards;
use super::standing::own_chains;
use super::translation::translations;
use crate::config::Evidence;
use crate::host_port::HostPort;

/// Which of the others count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// All of them.
    Any,
    /// Those whose jumps come after the attachment's own, as jumps are inserted at the top.
    Older,
}

/// Refuses when another container has one of the wanted host ports, on an address in common.
///
/// # Errors
/// Code 102 with the port and the owner's mark.
pub fn refuse(
    state: &State,
    wanted: &Wanted,
    evidence: &Evidence,
    order: Order,
) -> Result<(), Error> {
    let mine = own_chains(state, &wanted.attachment, evidence);
    let ours = Forwards::of(&wanted.ports);
    let mut behind = order == Order::Any;
    // A chain that is reached by several rules is where the first of them is.
    let mut before = BTreeSet::new();
    for rule in state.rules(DNAT) {
        let Some((jump, meaning)) = owner::jump(rule) else {
            continue;
        };
        if mine.contains(&jump.chain) {
            behind = true;
        } else if !behind {
            before.insert(jump.chain);
        } else if !before.contains(&jump.chain) && !jump.is_of(&wanted.attachment) {
            let limit: Vec<Prefix> = destination(&meaning).into_iter().collect();
            refuse_one(state, (&ours, &wanted.only), (&jump, &limit))?;
        }
    }
    Ok(())
}

fn refuse_one(
    state: &State,
    (ours, only): (&Forwards, &[Prefix]),
    (jump, limit): (&owner::Jump, &[Prefix]),
) -> Result<(), Error> {
    for theirs in translations(state.rules(&jump.chain)) {
        if let Some(ours) = ours.overlapping(only, theirs.port, limit) {
            let HostPort {
                number, protocol, ..
            } = ours.port;
            let msg = format!("host port {number}/{protocol} is taken");
            return Err(Error::new(Code::Conflict, msg)
                .with_details(format!("by {}, which leads to {}", jump.comment, theirs.to)));
        }
    }
    Ok(())
}
