//! Tables of the nf_tables variant, over netlink: what is there, with the handles of rules.

pub mod batch;
pub mod concern;
pub mod encode;
pub mod raw;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use common::Family;
use common::error::{Code, Error};
use common::sys::netlink::{Refusal, attribute, text};
use common::sys::nla::Nla;
use nft::object::{Base, Chain, Place, number};
use nft::socket::Nft;
use nft::uapi;

use crate::Table;
use crate::state::State;
use concern::Concern;

/// A rule as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number in the table; `None` for one that is about to be written.
    pub handle: Option<u64>,
    /// `NFTA_RULE_EXPRESSIONS`; empty where the rule does not matter.
    pub expressions: Vec<u8>,
}

impl Rule {
    /// One that the kernel does not have yet.
    pub fn unwritten() -> Rule {
        Rule {
            handle: None,
            expressions: Vec::new(),
        }
    }
}

/// What was read of one IP version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The IP version.
    pub family: Family,
    /// The chains with their rules in words, empty for those that do not matter.
    pub state: State,
    /// The same rules, in the same order, as the kernel has them.
    rules: BTreeMap<(Table, String), Vec<Rule>>,
    tables: BTreeSet<Table>,
}

impl Seen {
    /// Before anything is read.
    pub fn nothing(family: Family) -> Seen {
        Seen {
            family,
            state: State::default(),
            rules: BTreeMap::new(),
            tables: BTreeSet::new(),
        }
    }

    /// Reads the named chains, as far as they are there. Of one that leads to many
    /// others only what matters is parsed.
    ///
    /// # Errors
    /// Code 100 with what the kernel refused.
    pub fn chains(
        nft: &mut Nft,
        family: Family,
        chains: &[(Table, &str)],
        concern: &Concern,
    ) -> Result<Seen, Error> {
        let mut seen = Seen::nothing(family);
        seen.add(nft, chains, concern)?;
        Ok(seen)
    }

    /// Reads more chains.
    ///
    /// # Errors
    /// As [`Seen::chains`].
    pub fn add(
        &mut self,
        nft: &mut Nft,
        chains: &[(Table, &str)],
        concern: &Concern,
    ) -> Result<(), Error> {
        let chains: BTreeSet<(Table, &str)> = chains.iter().copied().collect();
        for table in Table::ALL {
            let names = chains.iter().filter(|(of, _)| *of == table);
            let names: Vec<&str> = names.map(|(_, name)| *name).collect();
            let family = self.family;
            let failed = |refusal| unreadable(family, table, refusal);
            let place = place(family, table);
            for name in self.usable(nft, table, &names)? {
                let is_long = (table, name) == (Table::Nat, concern.dispatch);
                let take = |rule: &[u8]| decode(rule, !is_long || concern.has(expressions(rule)));
                let rules = match concern.jumps.filter(|_| is_long) {
                    Some(mut left) => self.beginning(table, name, take, |rule| {
                        left = left
                            .saturating_sub(usize::from(concern.leads_there(&rule.expressions)));
                        left == 0
                    })?,
                    None => {
                        let filter = of_chain(table, name);
                        let rules = nft.list(uapi::GETRULE, family, &filter, take);
                        rules.map_err(failed)?
                    }
                };
                self.insert(table, name, rules);
            }
            if !names.is_empty() && !self.tables.contains(&table) {
                let there = nft.table(place).map_err(failed)?;
                self.tables.extend(there.map(|_| table));
            }
        }
        Ok(())
    }

    /// Those of the named chains that are there and that packets meet where iptables has them; others of
    /// these names are noted.
    fn usable<'a>(
        &mut self,
        nft: &mut Nft,
        table: Table,
        names: &[&'a str],
    ) -> Result<Vec<&'a str>, Error> {
        let chains = named_chains(nft, self.family, table, names)?;
        let mut usable = Vec::new();
        for (name, chain) in names.iter().zip(chains) {
            let Some(chain) = chain else { continue };
            match is_usable(table, &chain) {
                true => usable.push(*name),
                false => self.note_other(table, &chain),
            }
        }
        Ok(usable)
    }

    fn note_other(&mut self, table: Table, chain: &Chain) {
        let what = hook_text(chain.base.as_ref());
        self.state.note_obstacle(table, Some(&chain.name), what);
    }

    /// Notes which of some tables are dormant: no packet meets their rules.
    ///
    /// # Errors
    /// As [`Seen::chains`].
    pub fn note_dormant(&mut self, nft: &mut Nft, tables: &[Table]) -> Result<(), Error> {
        for table in tables {
            let found = nft.table(place(self.family, *table));
            let found = found.map_err(|refusal| unreadable(self.family, *table, refusal))?;
            if found.is_some_and(|found| found.is_dormant()) {
                self.state.note_obstacle(*table, None, "dormant".to_owned());
            }
        }
        Ok(())
    }

    /// Reads the first rules of a chain, if it is there.
    ///
    /// # Errors
    /// As [`Seen::chains`].
    pub fn add_beginning(
        &mut self,
        nft: &mut Nft,
        table: Table,
        chain: &str,
        count: usize,
    ) -> Result<(), Error> {
        if self.usable(nft, table, &[chain])?.is_empty() {
            return Ok(());
        }
        let mut left = count;
        let rules = self.beginning(
            table,
            chain,
            |rule| decode(rule, true),
            |_| {
                left = left.saturating_sub(1);
                left == 0
            },
        )?;
        self.insert(table, chain, rules);
        Ok(())
    }

    /// The rules of a chain up to the one that is the last wanted.
    fn beginning(
        &self,
        table: Table,
        chain: &str,
        take: impl Fn(&[u8]) -> Rule,
        mut is_last: impl FnMut(&Rule) -> bool,
    ) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        let filter = of_chain(table, chain);
        let read = Nft::open()?.beginning(uapi::GETRULE, self.family, &filter, |rule| {
            let rule = take(rule);
            let is_last = is_last(&rule);
            rules.push(rule);
            match is_last {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        read.map_err(|refusal| unreadable(self.family, table, refusal))?;
        Ok(rules)
    }

    /// Reads tables whole.
    ///
    /// # Errors
    /// As [`Seen::chains`].
    pub fn whole(nft: &mut Nft, family: Family, tables: &[Table]) -> Result<Seen, Error> {
        let mut seen = Seen::nothing(family);
        seen.note_dormant(nft, tables)?;
        for table in tables {
            let failed = |refusal| unreadable(family, *table, refusal);
            let filter = [Nla::text(uapi::CHAIN_TABLE, table.name())];
            let chains = nft.list(uapi::GETCHAIN, family, &filter, |chain| {
                // Older kernels list those of all tables.
                let is_of = named(chain, uapi::CHAIN_TABLE) == table.name();
                is_of.then(|| Chain::decode(chain))
            });
            for chain in chains.map_err(failed)?.into_iter().flatten() {
                match is_usable(*table, &chain) {
                    true => seen.insert(*table, &chain.name, Vec::new()),
                    false => seen.note_other(*table, &chain),
                }
            }
            let filter = [Nla::text(uapi::RULE_TABLE, table.name())];
            let rules = nft.list(uapi::GETRULE, family, &filter, |rule| {
                (named(rule, uapi::RULE_CHAIN), decode(rule, true))
            });
            for (chain, rule) in rules.map_err(failed)? {
                if let Some(rules) = seen.rules.get_mut(&(*table, chain.clone())) {
                    let words = words::rule(family, &rule.expressions);
                    rules.push(rule);
                    seen.state.push(*table, &chain, words);
                }
            }
        }
        Ok(seen)
    }

    /// Notes a chain that is there, without a look at its rules.
    pub fn insert(&mut self, table: Table, chain: &str, rules: Vec<Rule>) {
        self.tables.insert(table);
        let words = rules
            .iter()
            .map(|rule| words::rule(self.family, &rule.expressions));
        self.state.insert(table, chain, words.collect());
        self.rules.insert((table, chain.to_owned()), rules);
    }

    /// The rules of a chain.
    pub fn rules(&self, table: Table, chain: &str) -> &[Rule] {
        self.rules
            .get(&(table, chain.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// The rules of a chain, to be changed.
    pub fn rules_mut(&mut self, table: Table, chain: &str) -> &mut Vec<Rule> {
        self.rules.entry((table, chain.to_owned())).or_default()
    }

    /// Forgets a chain.
    pub fn remove(&mut self, table: Table, chain: &str) {
        self.rules.remove(&(table, chain.to_owned()));
    }

    /// Whether a table is there, of those that were looked at.
    pub fn has_table(&self, table: Table) -> bool {
        self.tables.contains(&table)
    }
}

/// Those of the named chains that are there.
///
/// # Errors
/// As [`Seen::chains`].
pub fn present<'a>(
    nft: &mut Nft,
    family: Family,
    table: Table,
    names: &[&'a str],
) -> Result<Vec<&'a str>, Error> {
    let chains = named_chains(nft, family, table, names)?;
    let found = names.iter().zip(chains);
    let found = found.filter(|(_, chain)| chain.as_ref().is_some_and(|c| is_usable(table, c)));
    Ok(found.map(|(name, _)| *name).collect())
}

fn named_chains(
    nft: &mut Nft,
    family: Family,
    table: Table,
    names: &[&str],
) -> Result<Vec<Option<Chain>>, Error> {
    nft.chains(place(family, table), names)
        .map_err(|refusal| unreadable(family, table, refusal))
}

/// Where and how the kernel calls a chain, as nft has it.
fn hook_text(base: Option<&Base>) -> String {
    match base {
        Some(base) => base.to_string(),
        None => "no hook".to_owned(),
    }
}

/// Whether there is a table of that name where iptables has it.
///
/// # Errors
/// As [`Seen::chains`].
pub fn has_table(nft: &mut Nft, family: Family, table: Table) -> Result<bool, Error> {
    let found = nft.table(place(family, table));
    let found = found.map_err(|refusal| unreadable(family, table, refusal))?;
    Ok(found.is_some())
}

/// How many rules lead to a chain; `None` without it. The kernel counts those that it holds, too.
///
/// # Errors
/// As [`Seen::chains`].
pub fn led_to(
    nft: &mut Nft,
    seen: &Seen,
    table: Table,
    chain: &str,
) -> Result<Option<usize>, Error> {
    let asked = vec![
        Nla::text(uapi::CHAIN_TABLE, table.name()),
        Nla::text(uapi::CHAIN_NAME, chain),
    ];
    let uses = |chain: &[u8]| number(chain, uapi::CHAIN_USE);
    let found = nft
        .each(uapi::GETCHAIN, seen.family, &[asked], uses)
        .map_err(|refusal| unreadable(seen.family, table, refusal))?;
    let uses = found.into_iter().flatten().flatten().next();
    let uses = uses.and_then(|uses| usize::try_from(uses).ok());
    Ok(uses.and_then(|uses| uses.checked_sub(seen.rules(table, chain).len())))
}

/// Those rules of a chain that have one of some handles.
///
/// # Errors
/// As [`Seen::chains`].
pub fn by_handle(
    nft: &mut Nft,
    family: Family,
    (table, chain): (Table, &str),
    handles: impl Iterator<Item = u64>,
) -> Result<Vec<Rule>, Error> {
    let asked = handles.map(|handle| {
        vec![
            Nla::text(uapi::RULE_TABLE, table.name()),
            Nla::text(uapi::RULE_CHAIN, chain),
            Nla::be64(uapi::RULE_HANDLE, handle),
        ]
    });
    let asked: Vec<Vec<Nla>> = asked.collect();
    let found = nft.each(uapi::GETRULE, family, &asked, |rule| decode(rule, true));
    let found = found.map_err(|refusal| unreadable(family, table, refusal))?;
    Ok(found.into_iter().flatten().collect())
}

/// Where iptables has the table of that name.
pub fn place(family: Family, table: Table) -> Place {
    Place {
        family,
        table: table.name(),
    }
}

/// A chain of the kernel's as iptables makes it; `None` for a name that no such chain has.
pub fn base(table: Table, chain: &str) -> Option<Base> {
    use uapi::{HOOK_INPUT, HOOK_OUTPUT, HOOK_POSTROUTING, HOOK_PREROUTING};
    let (hook, at_source) = match chain {
        "PREROUTING" => (HOOK_PREROUTING, false),
        "INPUT" => (HOOK_INPUT, true),
        "OUTPUT" => (HOOK_OUTPUT, false),
        "POSTROUTING" => (HOOK_POSTROUTING, true),
        _ => return None,
    };
    let (kind, priority) = match (table, at_source) {
        (Table::Nat, false) => ("nat", uapi::PRIORITY_DSTNAT),
        (Table::Nat, true) => ("nat", uapi::PRIORITY_SRCNAT),
        (Table::Mangle, _) if chain == "OUTPUT" => ("route", uapi::PRIORITY_MANGLE),
        (Table::Mangle, _) => ("filter", uapi::PRIORITY_MANGLE),
    };
    Some(Base {
        kind: kind.to_owned(),
        hook,
        priority,
        policy: uapi::ACCEPT,
    })
}

/// Whether packets meet a chain where iptables' chain of that name meets them.
fn is_usable(table: Table, chain: &Chain) -> bool {
    let at = |base: &Base| (base.kind.clone(), base.hook, base.priority);
    match base(table, &chain.name) {
        Some(expected) => chain.base.as_ref().map(at) == Some(at(&expected)),
        None => true,
    }
}

fn of_chain(table: Table, chain: &str) -> [Nla; 2] {
    [
        Nla::text(uapi::RULE_TABLE, table.name()),
        Nla::text(uapi::RULE_CHAIN, chain),
    ]
}

fn named(attributes: &[u8], kind: u16) -> String {
    attribute(attributes, kind).map(text).unwrap_or_default()
}

fn decode(attributes: &[u8], is_read: bool) -> Rule {
    let handle = attribute(attributes, uapi::RULE_HANDLE).and_then(|value| value.try_into().ok());
    Rule {
        handle: handle.map(u64::from_be_bytes),
        expressions: match is_read {
            true => expressions(attributes).to_vec(),
            false => Vec::new(),
        },
    }
}

fn expressions(attributes: &[u8]) -> &[u8] {
    attribute(attributes, uapi::RULE_EXPRESSIONS).unwrap_or(&[])
}

fn unreadable(family: Family, table: Table, refusal: Refusal) -> Error {
    let (family, table) = (family.nft_name(), table.name());
    Error::new(Code::System, format!("read table {family} {table}")).with_details(refusal)
}

#[cfg(test)]
mod tests;
