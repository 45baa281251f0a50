//! Taking back an ADD: the elements that it changed get their former values, unless somebody else has
//! changed them since.

use common::Attachment;
use common::error::Error;
use common::sys::netlink::Refusal;

use super::claim;
use super::command::{Action, Command};
use super::elements::Elements;
use super::layout::CONDITIONS;
use super::object::Set;
use super::set::SetId;
use super::socket::Nft;
use super::{remove, shared, transaction, unreadable};
use crate::mapping::Family;

/// What takes an ADD back.
#[derive(Debug, Clone, Default)]
pub struct Undo {
    /// What changed in each family.
    pub changes: Vec<Change>,
}

/// What changed in one family.
#[derive(Debug, Clone)]
pub struct Change {
    /// The family.
    pub family: Family,
    /// Whose ADD it was.
    pub attachment: Attachment,
    /// What stood at the places it was about.
    pub before: Elements,
    /// What stands there since.
    pub after: Elements,
    /// There was no table.
    pub is_first: bool,
    /// The attachment had its own chain before.
    pub had_chain: bool,
}

impl Undo {
    /// Takes it back.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn run(self) -> Result<(), Error> {
        let mut nft = Nft::open()?;
        transaction::run(&mut nft, |nft| {
            let mut commands = Vec::new();
            for change in &self.changes {
                let more = change.commands(nft);
                commands.extend(more.map_err(|refusal| unreadable(change.family, refusal))?);
            }
            Ok((commands, ()))
        })
    }
}

impl Change {
    fn commands(&self, nft: &mut Nft) -> Result<Vec<Command>, Refusal> {
        let place = shared::place(self.family);
        let sets = nft.sets(place)?;
        let places = self.before.keys().chain(self.after.keys()).cloned();
        let now = claim::at(nft, self.family, &sets, places.collect())?;
        let restored = self.restored(&now);
        if self.is_first && restored.is_empty() && self.is_alone(nft, &sets, &now)? {
            let action = Action::DeleteTable;
            return Ok(vec![Command { place, action }]);
        }
        let mut commands = claim::commands(self.family, &restored, &now);
        if !self.had_chain {
            commands.extend(remove::own_chain(nft, self.family, &self.attachment)?.commands);
        }
        Ok(commands)
    }

    /// What shall stand where something was changed: the former, or what somebody else has made of it.
    fn restored(&self, now: &Elements) -> Elements {
        let places = self.before.keys().chain(self.after.keys());
        places
            .filter_map(|place| {
                let source = match now.get(place) == self.after.get(place) {
                    true => &self.before,
                    false => now,
                };
                Some((place.clone(), source.get(place)?.clone()))
            })
            .collect()
    }

    /// Whether nobody else uses the table.
    fn is_alone(&self, nft: &mut Nft, sets: &[Set], now: &Elements) -> Result<bool, Refusal> {
        let place = shared::place(self.family);
        for set in sets {
            let id: Option<SetId> = SetId::from_name(&set.name);
            for element in nft.elements(place, &set.name)? {
                let key = id.map(|id| (id, element.key));
                if key.is_none_or(|key| !now.contains_key(&key)) {
                    return Ok(false);
                }
            }
        }
        let rules = nft.rules(place, CONDITIONS)?;
        let own = super::owner::text(&self.attachment);
        Ok(rules.iter().all(|rule| rule.comment.as_ref() == Some(&own)))
    }
}
