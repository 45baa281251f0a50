//! A transaction as commands of one nf_tables batch: rules go by their handles.

use std::collections::BTreeMap;

use common::Protocol;
use common::error::{Code, Error};
use common::sys::nla::Nla;
use nft::command::{Action, Command};
use nft::object::Chain;
use nft::uapi;
use nix::libc;

use super::{Rule, Seen, base, encode, hook_text, place};
use crate::Table;
use crate::meaning::Meaning;
use crate::transaction::{self, Transaction};

/// Where a rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    First,
    Last,
    Before(u64),
    After(u64),
}

/// The commands of a transaction that was made for what was seen, which becomes what it will be then.
///
/// # Errors
/// Code 100 for what cannot be written without iptables.
pub fn commands(seen: &mut Seen, transaction: &Transaction) -> Result<Vec<Command>, Error> {
    commands_with(seen, transaction, &Made::new())
}

/// As [`commands`], with rules that iptables made.
///
/// # Errors
/// As [`commands`].
pub fn commands_with(
    seen: &mut Seen,
    transaction: &Transaction,
    made: &Made,
) -> Result<Vec<Command>, Error> {
    let mut all = Vec::new();
    let before = seen.clone();
    for table in Table::ALL {
        for command in transaction.commands(table) {
            let mut batch = Batch {
                before: &before,
                seen,
                made,
                table,
                commands: &mut all,
            };
            batch.add(command)?;
        }
    }
    Ok(all)
}

/// The command that writes a rule as it was before, at a place of a chain that is there.
pub fn restore(
    seen: &mut Seen,
    (chain, place): (&str, usize),
    rule: &Former,
) -> Result<Vec<Command>, Error> {
    let before = seen.clone();
    let words = &rule.words;
    let at = match before.rules(Table::Nat, chain).get(place) {
        Some(next) => At::Before(handle(next, words)?),
        None => At::Last,
    };
    let mut commands = Vec::new();
    let mut batch = Batch {
        before: &before,
        seen,
        made: &Made::new(),
        table: Table::Nat,
        commands: &mut commands,
    };
    batch.write(chain, at, rule.attributes(), words)?;
    Ok(commands)
}

/// The rules that words become which only iptables knows.
pub type Made = BTreeMap<String, Vec<Former>>;

/// A rule that was there, here or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// In words.
    pub words: String,
    /// `NFTA_RULE_EXPRESSIONS`
    pub expressions: Vec<u8>,
}

impl Former {
    fn attributes(&self) -> Vec<Nla> {
        let meaning = Meaning::of(&self.words);
        let protocol = meaning.find("-p");
        let protocol = protocol.and_then(|p| Protocol::from_text(p.first()?));
        encode::reported(&self.expressions, protocol.map(Protocol::number))
    }
}

struct Batch<'a> {
    /// What places in the transaction refer to.
    before: &'a Seen,
    seen: &'a mut Seen,
    made: &'a Made,
    table: Table,
    commands: &'a mut Vec<Command>,
}

impl Batch<'_> {
    fn add(&mut self, command: &transaction::Command) -> Result<(), Error> {
        use transaction::Command as C;
        match command {
            C::New(chain) => self.chain(chain)?,
            C::Append(chain, rule) => self.rule(chain, At::Last, rule)?,
            C::Insert(chain, 0, rule) => self.rule(chain, At::First, rule)?,
            C::Insert(chain, place, rule) => {
                let at = self.at(chain, *place, rule)?;
                self.rule(chain, at, rule)?;
            }
            C::Delete(chain, place, rule) => self.delete(chain, *place, rule)?,
            C::Flush(chain, _) => {
                self.message(
                    uapi::DELRULE,
                    0,
                    rule_of(chain),
                    format!("flush chain {chain}"),
                );
                self.seen.rules_mut(self.table, chain).clear();
                self.seen.state.insert(self.table, chain, Vec::new());
            }
            C::Remove(chain) => {
                self.push(Action::DeleteChain(chain.clone()));
                self.seen.remove(self.table, chain);
                self.seen.state.table_mut(self.table).remove(chain);
            }
        }
        Ok(())
    }

    /// Beside a rule that the kernel has already.
    fn at(&self, chain: &str, place: usize, rule: &str) -> Result<At, Error> {
        let rules = self.seen.rules(self.table, chain);
        let number = |place: Option<usize>| rules.get(place?)?.handle;
        match (number(place.checked_sub(1)), rules.get(place)) {
            (Some(previous), _) => Ok(At::After(previous)),
            (None, Some(next)) => handle(next, rule).map(At::Before),
            (None, None) => Ok(At::Last),
        }
    }

    fn push(&mut self, action: Action) {
        let place = place(self.seen.family, self.table);
        self.commands.push(Command { place, action });
    }

    fn message(&mut self, kind: u16, flags: i32, attributes: Vec<Nla>, words: String) {
        self.push(Action::Message {
            kind,
            flags,
            attributes,
            words,
        });
    }

    /// Makes a chain, and its table where it is missing.
    ///
    /// # Errors
    /// Code 100 for another tool's chain of that name in another place: the kernel would say "File exists".
    fn chain(&mut self, name: &str) -> Result<(), Error> {
        let base = base(self.table, name);
        if let Some(found) = self.seen.state.obstacle(self.table, Some(name)) {
            let table = format!("{} {}", self.seen.family.nft_name(), self.table.name());
            let expected = hook_text(base.as_ref());
            let msg = format!(
                "chain {name} of table {table} has {found}, and iptables needs one that has {expected}"
            );
            let way_out = format!(
                "`nft 'flush chain {table} {name}; delete chain {table} {name}'` removes it"
            );
            return Err(Error::new(Code::System, msg).with_details(way_out));
        }
        if !self.seen.has_table(self.table) {
            let flags = vec![Nla::be32(uapi::TABLE_FLAGS, 0)];
            let words = "add table".to_owned();
            self.message(uapi::NEWTABLE, libc::NLM_F_CREATE, flags, words);
        }
        let name = name.to_owned();
        self.seen.insert(self.table, &name, Vec::new());
        self.push(Action::AddChain(Chain { name, base }));
        Ok(())
    }

    fn rule(&mut self, chain: &str, at: At, text: &str) -> Result<(), Error> {
        if let Some(made) = self.made.get(text) {
            let mut made: Vec<&Former> = made.iter().collect();
            // Each goes before those that went there.
            if matches!(at, At::First | At::After(_)) {
                made.reverse();
            }
            for rule in made {
                self.write(chain, at, rule.attributes(), &rule.words)?;
            }
            return Ok(());
        }
        let Some(attributes) = encode::rule(self.seen.family, text) else {
            let msg = format!("a rule that only iptables can write: {text}");
            return Err(Error::new(Code::System, msg));
        };
        self.write(chain, at, attributes, text)
    }

    fn write(
        &mut self,
        chain: &str,
        at: At,
        attributes: Vec<Nla>,
        text: &str,
    ) -> Result<(), Error> {
        if !self.seen.state.table(self.table).contains_key(chain) {
            self.chain(chain)?;
        }
        let mut all = rule_of(chain);
        all.extend(attributes);
        if let At::Before(handle) | At::After(handle) = at {
            all.push(Nla::be64(uapi::RULE_POSITION, handle));
        }
        let place = match at {
            At::Last | At::After(_) => libc::NLM_F_APPEND,
            At::First | At::Before(_) => 0,
        };
        let flags = libc::NLM_F_CREATE | place;
        self.message(
            uapi::NEWRULE,
            flags,
            all,
            format!("add rule {chain} {text}"),
        );
        let rules = self.seen.rules_mut(self.table, chain);
        let beside = |handle| rules.iter().position(|rule| rule.handle == Some(handle));
        let index = match at {
            At::First => 0,
            At::Last => rules.len(),
            At::Before(handle) => beside(handle).unwrap_or(0),
            At::After(handle) => beside(handle).map_or(0, |index| index + 1),
        };
        rules.insert(index, Rule::unwritten());
        let words = self.seen.state.table_mut(self.table);
        let words = words.entry(chain.to_owned()).or_default();
        words.insert(index.min(words.len()), text.to_owned());
        Ok(())
    }

    fn delete(&mut self, chain: &str, place: usize, rule: &str) -> Result<(), Error> {
        let Some(standing) = self.before.rules(self.table, chain).get(place) else {
            return Ok(());
        };
        let handle = handle(standing, rule)?;
        let mut attributes = rule_of(chain);
        attributes.push(Nla::be64(uapi::RULE_HANDLE, handle));
        let words = format!("delete rule {chain} {rule}");
        self.message(uapi::DELRULE, 0, attributes, words);
        let rules = self.seen.rules_mut(self.table, chain);
        if let Some(index) = rules.iter().position(|rule| rule.handle == Some(handle)) {
            rules.remove(index);
            let words = self.seen.state.table_mut(self.table);
            let words = words.entry(chain.to_owned()).or_default();
            if index < words.len() {
                words.remove(index);
            }
        }
        Ok(())
    }
}

/// The number of a rule that the kernel has. One that this batch adds has none yet.
fn handle(rule: &Rule, wanted: &str) -> Result<u64, Error> {
    rule.handle.ok_or_else(|| {
        let msg = format!("a place beside a rule that is not there yet: {wanted}");
        Error::new(Code::System, msg)
    })
}

fn rule_of(chain: &str) -> Vec<Nla> {
    vec![Nla::text(uapi::RULE_CHAIN, chain)]
}
