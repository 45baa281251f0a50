//! A repair, looked at again after a while.

use std::collections::BTreeSet;

use common::Operate;
use common::cache::Entry;

use super::{Job, Outcome, Task, run};
use crate::plugins::remove_all;
use crate::requests::requests;
use crate::today::Configs;

/// What is true of a repair after a while. The runtime forgets an attachment after the DEL of its whole
/// chain, so a repair may come between the plugin's own DEL and that.
pub fn confirm<P: Operate>(entry: &Entry, outcome: Outcome) -> Outcome {
    if !outcome.is_touched() {
        return outcome;
    }
    match Entry::read(&entry.file) {
        Ok(Some(now)) if now == *entry => outcome,
        Ok(Some(now)) => renewed::<P>(&now),
        Ok(None) => match (requests::<P>(entry), &outcome) {
            // What cannot be read was not carried out.
            (Err(_), Outcome::Failed(_)) => outcome,
            _ => take_back::<P>(entry),
        },
        Err(error) => Outcome::Failed(error),
    }
}

/// The repair of what the runtime had before may have come after its new ADD.
fn renewed<P: Operate>(now: &Entry) -> Outcome {
    put_right::<P>(now).unwrap_or_else(|| take_back::<P>(now))
}

/// Repairs one attachment; `None` when the plugin is not in its network's chain.
pub fn put_right<P: Operate>(entry: &Entry) -> Option<Outcome> {
    let task = Task {
        job: Job::of::<P>(entry, &Configs::default())?,
        is_dry: false,
        is_superseded: false,
        taken: BTreeSet::new(),
        newer: BTreeSet::new(),
    };
    run::<P>(&[task]).pop()
}

fn take_back<P: Operate>(entry: &Entry) -> Outcome {
    let taken_back = requests::<P>(entry).and_then(|requests| remove_all::<P>(&requests));
    match taken_back {
        Ok(()) => Outcome::Deleted,
        Err(error) => Outcome::Failed(error),
    }
}
