//! Host ports that another attachment has (`"onConflict": "error"`).

use common::error::{Code, Error};

use super::observe::own_chains;
use super::owner;
use super::rules::Wanted;
use super::state::State;
use super::translation::translations;
use crate::config::Evidence;

/// Which of the others count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// All of them.
    Any,
    /// Those whose jumps stand behind the attachment's own, as jumps go in at the top.
    Older,
}

/// Refuses when another attachment has one of the wanted host ports, on an address in common.
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
    let mut behind = order == Order::Any;
    for rule in state.jumps() {
        let Some((jump, _)) = owner::jump(rule) else {
            continue;
        };
        if mine.contains(&jump.chain) {
            behind = true;
        } else if behind {
            refuse_one(state, wanted, &jump)?;
        }
    }
    Ok(())
}

fn refuse_one(state: &State, wanted: &Wanted, jump: &owner::Jump) -> Result<(), Error> {
    for theirs in translations(state.chain(&jump.chain).unwrap_or(&[])) {
        let taken = wanted.ports.iter().find(|ours| {
            let overlap = ours.host_ip.is_none()
                || theirs.host_ip.is_none()
                || ours.host_ip == theirs.host_ip;
            (ours.protocol, ours.host_port) == (theirs.protocol, theirs.host_port) && overlap
        });
        if let Some(ours) = taken {
            return Err(Error::new(
                Code::Conflict,
                format!("host port {}/{} is taken", ours.host_port, ours.protocol),
            )
            .with_details(format!("by {}, which leads to {}", jump.comment, theirs.to)));
        }
    }
    Ok(())
}
