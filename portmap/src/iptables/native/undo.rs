//! Taking an ADD back: the attachment's chain and jumps become what they were. What all attachments share
//! stays, as others may have come to need it.

use common::error::Error;
use common::{Attachment, Family};
use nft::command::Command;
use nft::socket::Nft;
use xtables::Table;
use xtables::nf_tables::Seen;
use xtables::nf_tables::batch::{self, Former};
use xtables::transaction::{Command as Line, Transaction};

use super::super::rules::{DNAT, is_of_attachments, leading_to};
use super::super::standing::{jumps_to, own_chains};
use super::super::{owner, write};
use super::{commit, removal, steady};
use crate::config::Evidence;

/// What takes an ADD back.
#[derive(Debug, Default)]
pub struct Undo {
    changes: Vec<Change>,
    /// Whether anything was changed; what is shared is not rolled back.
    changed: bool,
}

/// What an attachment had in an IP version in which it was changed.
#[derive(Debug)]
struct Change {
    family: Family,
    attachment: Attachment,
    evidence: Evidence,
    chains: Vec<(String, Vec<Former>)>,
    /// With their places in [`DNAT`].
    jumps: Vec<(usize, Former)>,
    /// The jumps to others' chains that were inserted since.
    for_others: Vec<String>,
}

impl Undo {
    /// Notes what attachments have in an IP version, whatever becomes of it.
    ///
    /// # Errors
    /// Code 100 when the kernel does not say.
    pub fn of(family: Family, owners: &[(Attachment, Evidence)]) -> Result<Undo, Error> {
        let mut undo = Undo::default();
        if let Some(mut nft) = Nft::open_if_any()? {
            for (attachment, evidence) in owners {
                let look = |nft: &mut Nft| removal::of_attachment(nft, family, attachment, &[]);
                let seen = steady(&mut nft, look)?.unwrap_or_else(|| Seen::nothing(family));
                let change = Change::of(&seen, attachment, evidence, Vec::new());
                undo.changes.push(change);
            }
        }
        Ok(undo)
    }

    /// Whether there was anything to change.
    pub fn is_change(&self) -> bool {
        self.changed
    }

    /// Notes what a transaction changes of an attachment.
    pub fn note(
        &mut self,
        seen: &Seen,
        attachment: &Attachment,
        evidence: &Evidence,
        transaction: &Transaction,
    ) {
        self.changed |= !transaction.is_empty();
        if transaction
            .commands(Table::Nat)
            .iter()
            .any(is_of_attachments)
        {
            let for_others = write::for_others(transaction, attachment);
            self.changes
                .push(Change::of(seen, attachment, evidence, for_others));
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn run(self) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        commit(&mut Nft::open()?, |nft| {
            let mut commands = Vec::new();
            for change in &self.changes {
                commands.extend(change.commands(nft)?);
            }
            Ok((commands, ()))
        })
    }
}

impl Change {
    fn of(
        seen: &Seen,
        attachment: &Attachment,
        evidence: &Evidence,
        for_others: Vec<String>,
    ) -> Change {
        let names = own_chains(&seen.state, attachment, evidence);
        let former = |chain: &str, place: usize, words: &str| {
            let rule = seen.rules(Table::Nat, chain).get(place);
            rule.map(|rule| Former {
                words: words.to_owned(),
                expressions: rule.expressions.clone(),
            })
        };
        let chain = |name: &String| {
            let rules = seen.state.rules(name).iter().enumerate();
            let rules = rules.filter_map(|(place, words)| former(name, place, words));
            (name.clone(), rules.collect())
        };
        let jumps = names.iter().flat_map(|name| jumps_to(&seen.state, name));
        let jumps = jumps.filter_map(|s| Some((s.place, former(DNAT, s.place, &s.rule)?)));
        Change {
            family: seen.family,
            attachment: attachment.clone(),
            evidence: evidence.clone(),
            jumps: jumps.collect(),
            chains: names.iter().map(chain).collect(),
            for_others,
        }
    }

    fn commands(&self, nft: &mut Nft) -> Result<Vec<Command>, Error> {
        let jumps = self.for_others.iter().filter_map(|rule| owner::jump(rule));
        let others: Vec<String> = jumps.map(|(jump, _)| jump.chain).collect();
        let seen = removal::of_attachment(nft, self.family, &self.attachment, &others)?;
        let mut transaction = Transaction::default();
        let mut seen = match seen {
            Some(seen) => {
                for chain in own_chains(&seen.state, &self.attachment, &self.evidence) {
                    write::remove(&mut transaction, &seen.state, Table::Nat, &chain);
                }
                // What was inserted for others would stand before what comes back.
                write::delete_for_others(&mut transaction, &seen.state, &self.for_others);
                seen
            }
            None => {
                let concern = leading_to(Vec::new());
                Seen::chains(nft, self.family, &[(Table::Nat, DNAT)], &concern)?
            }
        };
        for (name, _) in &self.chains {
            transaction.push(Table::Nat, Line::New(name.clone()));
        }
        let mut commands = batch::commands(&mut seen, &transaction)?;
        for (name, rules) in &self.chains {
            for rule in rules {
                commands.extend(batch::restore(&mut seen, (name, usize::MAX), rule)?);
            }
        }
        for (place, rule) in &self.jumps {
            commands.extend(batch::restore(&mut seen, (DNAT, *place), rule)?);
        }
        Ok(commands)
    }
}
