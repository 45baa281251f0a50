//! Which attachments of a network live, for GC.
//!
//! iptables keeps no more than 255 bytes of a mark. Where that cuts the container's name, the chain's name
//! shows the owner. Where it cuts the network's, nothing does: such rules stay, and are named.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::Attachment;
use common::error::short;
use common::netconf::ValidAttachment;
use xtables::state::State;

use super::super::owner::{self, Jump};
use super::super::rules::{exact_name, shared_name};
use super::super::standing::{dead_chains, strays};
use crate::entry;

/// What dead attachments have.
#[derive(Debug, Default)]
pub struct Dead {
    chains: BTreeSet<String>,
    /// The marks of rules that lead to no chain of an attachment any longer.
    marks: BTreeSet<String>,
}

impl Dead {
    /// Whether that is nothing.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.marks.is_empty()
    }

    /// Whether a mark is one of theirs.
    pub fn have(&self, mark: &str) -> bool {
        self.marks.contains(mark)
    }

    /// Adds those of the other IP version.
    pub fn extend(&mut self, other: Dead) {
        self.chains.extend(other.chains);
        self.marks.extend(other.marks);
    }
}

/// Those of one network.
#[derive(Debug)]
pub struct Living {
    network: String,
    attachments: Vec<Attachment>,
    marks: BTreeSet<String>,
    /// The names of their chains, by the entry: made once, as each is a hash.
    names: Mutex<HashMap<Option<String>, BTreeSet<String>>>,
    /// The chains of which it was not to be known.
    unknown: Mutex<BTreeSet<String>>,
}

impl Living {
    /// The valid ones.
    pub fn of(network: &str, valid: &[ValidAttachment]) -> Living {
        let attachments = valid
            .iter()
            .map(|ValidAttachment { container, ifname }| Attachment {
                network: network.to_owned(),
                container: container.clone(),
                ifname: ifname.clone(),
            });
        let attachments: Vec<Attachment> = attachments.collect();
        // The reference's mark says nothing about the interface.
        let marks = attachments
            .iter()
            .flat_map(|one| [owner::comment(one), owner::reference_comment(one)]);
        Living {
            network: network.to_owned(),
            marks: marks.collect(),
            attachments,
            names: Mutex::default(),
            unknown: Mutex::default(),
        }
    }

    /// A warning about each chain of which it was not to be known whether it is of the network.
    pub fn warnings(self) -> impl Iterator<Item = String> {
        let unknown = self.unknown.into_inner();
        let chains = unknown.unwrap_or_else(PoisonError::into_inner).into_iter();
        let network = short(&self.network).into_owned();
        chains.map(move |chain| {
            format!(
                "iptables: chain {chain} stays: the comment of its rules has no room for the full name of its \
                 network, which may be {network}; DEL of its attachment removes it"
            )
        })
    }

    /// What those have that do not live. Who comes later is not in the runtime's list, and lives.
    pub fn dead(&self, state: &State) -> Dead {
        let strays = strays(state, |mark| self.lack(mark)).into_iter();
        let marks = strays.filter_map(|stray| Some(owner::jump(&stray.rule)?.0.comment));
        Dead {
            chains: self.dead_chains(state).into_iter().collect(),
            marks: marks.collect(),
        }
    }

    fn dead_chains(&self, state: &State) -> Vec<String> {
        dead_chains(state, |jump, rules| self.lack_jump(jump, rules))
    }

    /// What is still there of it.
    pub fn still_dead(&self, dead: &Dead, state: &State) -> Vec<String> {
        let mut chains = self.dead_chains(state);
        chains.retain(|chain| dead.chains.contains(chain));
        chains
    }

    /// Whether a mark is of the network, and of no living attachment.
    fn lack(&self, mark: &str) -> bool {
        owner::is_of_network(mark, &self.network) && !self.marks.contains(mark)
    }

    /// Whether a jump to a chain with these rules is.
    fn lack_jump(&self, jump: &Jump, rules: &[String]) -> bool {
        if owner::is_unique(&jump.comment) && !owner::is_network_cut(&jump.comment) {
            return self.lack(&jump.comment);
        }
        if self.have(&jump.chain, rules) {
            return false;
        }
        let is_its = owner::is_of_network(&jump.comment, &self.network);
        if !is_its && owner::may_be_of_network(&jump.comment, &self.network) {
            locked(&self.unknown).insert(jump.chain.clone());
        }
        is_its
    }

    fn have(&self, chain: &str, rules: &[String]) -> bool {
        let entry = owner::entry_in(rules);
        let names = |one: &Attachment| {
            let exact = exact_name(&entry::owner_of(one, entry.as_deref()));
            [shared_name(one), exact]
        };
        let all = || self.attachments.iter().flat_map(names).collect();
        let mut known = locked(&self.names);
        known
            .entry(entry.clone())
            .or_insert_with(all)
            .contains(chain)
    }
}

/// What is in it, whoever panicked meanwhile: both grow alone.
fn locked<T>(all: &Mutex<T>) -> MutexGuard<'_, T> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}
