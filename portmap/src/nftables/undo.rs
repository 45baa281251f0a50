//! Taking back an ADD: the attachment's claims are what they were, whatever others have claimed since.

use std::collections::BTreeMap;

use common::error::Error;
use common::sys::netlink::Refusal;
use common::{Attachment, Family};
use nft::command::{Action, Command};
use nft::object::{Element, Set};
use nft::socket::Nft;

use super::conditional::{self, Conditional, Order};
use super::elements::{Elements, index};
use super::layout::CONDITIONS;
use super::queue::{self, Claim};
use super::reference::{self, Theirs};
use super::set::SetId;
use super::{claim, owner, scope, shared, transaction, unreadable};
use crate::backend;
use crate::host_port::HostPort;

/// What takes an ADD back.
#[derive(Debug, Clone, Default)]
pub struct Undo {
    /// What changed in each family.
    pub changes: Vec<Change>,
    /// Whether anything had to be done.
    pub is_change: bool,
}

/// What changed in one family.
#[derive(Debug, Clone)]
pub struct Change {
    /// The family.
    pub family: Family,
    /// Whose ADD it was.
    pub attachment: Attachment,
    /// Its claims before, with their places in the queues.
    pub before: BTreeMap<HostPort, (usize, Claim)>,
    /// Its claims since.
    pub after: BTreeMap<HostPort, Claim>,
    /// Its element in the set of attachments, before and since.
    pub index: [Option<Element>; 2],
    /// There was no table.
    pub is_first: bool,
    /// Its rules with conditions before.
    pub conditional: Option<Conditional>,
    /// The handles of the rules of other containers that these were behind.
    pub behind: Vec<u64>,
    /// What it replaced of the reference's.
    pub reference: Vec<Theirs>,
}

impl backend::Undo for Undo {
    fn is_change(&self) -> bool {
        self.is_change
    }

    fn run(self) -> Result<(), Error> {
        let undone = Nft::open().and_then(|mut nft| {
            transaction::run(&mut nft, |nft| {
                let mut commands = Vec::new();
                for change in &self.changes {
                    let more = change.commands(nft);
                    commands.extend(more.map_err(|refusal| unreadable(change.family, refusal))?);
                }
                Ok((commands, ()))
            })
        });
        undone.map_err(backend::not_rolled_back)
    }
}

impl Change {
    /// One of an attachment that has nothing.
    pub fn of_nothing(family: Family, attachment: &Attachment) -> Change {
        Change {
            family,
            attachment: attachment.clone(),
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            index: [None, None],
            is_first: false,
            conditional: None,
            behind: Vec::new(),
            reference: Vec::new(),
        }
    }

    fn commands(&self, nft: &mut Nft) -> Result<Vec<Command>, Refusal> {
        let place = shared::place(self.family);
        let sets = nft.sets(place)?;
        let ports: Vec<HostPort> = self
            .before
            .keys()
            .chain(self.after.keys())
            .copied()
            .collect();
        let owner = owner::text(&self.attachment);
        let container = self.after.values().next().map(|claim| claim.to.ip());
        let now = claim::of_ports(nft, self.family, &sets, &owner, &ports, container)?;
        let restored = self.restored(&sets, &now);
        let seen = conditional::observe(nft, self.family, &self.attachment)?;
        let mut commands = reference::restoration(nft, self.family, &self.reference)?;
        if self.is_first && restored.is_empty() && self.is_alone(nft, &sets, &now)? {
            let action = Action::DeleteTable;
            commands.push(Command { place, action });
            return Ok(commands);
        }
        commands.extend(claim::commands(self.family, &restored, &now));
        commands.extend(conditional::commands(
            self.family,
            &self.attachment,
            &seen,
            (self.conditional.as_ref(), Order::Behind(&self.behind)),
        ));
        Ok(commands)
    }

    /// What the ports have after the undo: claims that are still as ADD made them become what they were.
    fn restored(&self, sets: &[Set], now: &Elements) -> Elements {
        let owner = owner::text(&self.attachment);
        let mut queues = queue::of_elements(now);
        let current = queue::claims_of(&queues, &owner);
        for port in self.before.keys().chain(self.after.keys()) {
            if current.get(port).map(|(_, claim)| claim) != self.after.get(port) {
                continue;
            }
            let queue = queues.entry(*port).or_default();
            queue.retain(|claim| claim.owner != owner);
            if let Some((place, claim)) = self.before.get(port) {
                queue.insert((*place).min(queue.len()), claim.clone());
            }
        }
        let is_there = |id: SetId| sets.contains(&id.set(self.family));
        let mut restored = queue::to_elements(&queues, now, is_there);
        let (place, _) = index(&owner, 0);
        let [before, after] = &self.index;
        let element = match now.get(&place) == after.as_ref() {
            true => before.as_ref(),
            false => now.get(&place),
        };
        restored.extend(element.map(|element| (place, element.clone())));
        restored
    }

    /// Whether nobody else uses the table.
    fn is_alone(&self, nft: &mut Nft, sets: &[Set], now: &Elements) -> Result<bool, Refusal> {
        let place = shared::place(self.family);
        for set in sets {
            if scope::names::is_addresses(&set.name) {
                continue;
            }
            let id: Option<SetId> = SetId::from_name(&set.name);
            for element in nft.elements(place, &set.name)? {
                let key = id.map(|id| (id, element.key));
                if key.is_none_or(|key| !now.contains_key(&key)) {
                    return Ok(false);
                }
            }
        }
        let rules = nft.rules(place, CONDITIONS)?;
        let own = owner::text(&self.attachment);
        Ok(rules.iter().all(|rule| rule.comment.as_ref() == Some(&own)))
    }
}
