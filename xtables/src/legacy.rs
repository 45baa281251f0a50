//! Tables of the legacy variant: entries one after the other, chains by where they begin.
//!
//! Layouts: include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h and
//! netfilter/x_tables.h. Numbers are in the machine's order.

pub mod chains;
pub mod edit;
mod entry;
mod stamp;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use common::Family;
use common::error::{Code, Error};
use common::sys::netlink::{text, u32_at};
use common::sys::xtables::{self, XTable};
use nix::errno::Errno;

use crate::raw::{End, Kind, Raw, Test};
use crate::state::State;
use crate::{Table, xt};
use entry::{Entry, Layout};
pub use stamp::Stamp;

/// What the kernel reports of this namespace.
const NET: &str = "/proc/thread-self/net";
/// Names of the chains of `enum nf_inet_hooks`, by number.
pub const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
/// The target of an entry that is not a rule: it begins a chain and holds its name, or ends the table.
const ERROR: &str = "ERROR";
/// A standard target's verdict is where to jump, or one less than minus this (`NF_DROP`, `NF_ACCEPT`).
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
/// `XT_RETURN`
const RETURN: i32 = -5;

/// Some tables of one IP version.
pub struct Tables(Vec<(Table, Reader)>);

impl Tables {
    /// Reads tables, as far as they exist.
    ///
    /// # Errors
    /// Code 100 where the kernel refuses.
    pub fn of(family: Family, tables: &[Table]) -> Result<Tables, Error> {
        let mut read = Vec::new();
        for table in tables {
            if let Some(reader) = Reader::of(family, *table)? {
                read.push((*table, reader));
            }
        }
        Ok(Tables(read))
    }

    /// Whether a table has a chain.
    pub fn has_chain(&self, table: Table, name: &str) -> bool {
        let reader = self.0.iter().find(|(t, _)| *t == table);
        reader.is_some_and(|(_, reader)| reader.begins.contains_key(name))
    }

    /// Of the named chains those that exist: so many rules of each, up to the first that cannot be read.
    pub fn beginnings(&self, chains: &[(Table, &str)], count: usize) -> State {
        let mut state = State::default();
        for (table, name, Chain { rules, is_whole: _ }) in self.chains(chains, count) {
            state.insert(table, name, rules);
        }
        state
    }

    /// Of the named chains those that exist, if all their rules can be read.
    pub fn read(&self, chains: &[(Table, &str)]) -> Option<State> {
        let mut state = State::default();
        for (table, name, Chain { rules, is_whole }) in self.chains(chains, usize::MAX) {
            is_whole.then_some(())?;
            state.insert(table, name, rules);
        }
        Some(state)
    }

    fn chains<'a>(
        &'a self,
        named: &'a [(Table, &str)],
        count: usize,
    ) -> impl Iterator<Item = (Table, &'a str, Chain)> {
        named.iter().filter_map(move |(table, name)| {
            let (_, reader) = self.0.iter().find(|(of, _)| of == table)?;
            Some((*table, *name, reader.chain(name, count)?))
        })
    }
}

/// A chain's rules.
#[derive(Debug, PartialEq, Eq)]
pub struct Chain {
    /// The rules up to the first that cannot be read.
    pub rules: Vec<String>,
    /// Whether that is all.
    pub is_whole: bool,
}

/// One table, with its chains found.
pub struct Reader {
    layout: &'static Layout,
    table: XTable,
    /// Where the first rule of each chain is, and the other way round.
    begins: BTreeMap<String, usize>,
    names: BTreeMap<usize, String>,
    /// Where the entries are that begin user-defined chains, and the one that ends the table.
    heads: Vec<usize>,
}

impl Reader {
    /// Reads a table; `None` where this namespace has none: a legacy table is made by its first use.
    ///
    /// # Errors
    /// Code 100 where the kernel refuses, or its answer is invalid.
    pub fn of(family: Family, table: Table) -> Result<Option<Reader>, Error> {
        let Some(found) = ask(family, table, xtables::read)? else {
            return Ok(None);
        };
        match Reader::new(family, found) {
            reader if reader.is_whole() => Ok(Some(reader)),
            _ => Err(invalid(family, table)),
        }
    }

    /// Finds the chains.
    fn new(family: Family, table: XTable) -> Reader {
        let mut reader = Reader {
            layout: Layout::of(family),
            table,
            begins: BTreeMap::new(),
            names: BTreeMap::new(),
            heads: Vec::new(),
        };
        for (name, begin) in HOOKS.iter().zip(reader.table.hooks) {
            reader
                .begins
                .extend(begin.map(|at| ((*name).to_owned(), at)));
        }
        let mut at = 0;
        while let Some(entry) = reader.entry(at) {
            let (name, _, data) = entry.target();
            let next = at + entry.bytes.len();
            if name == ERROR {
                reader.begins.insert(text(data), next);
                reader.heads.push(at);
            }
            at = next;
        }
        let begins = reader.begins.iter();
        reader.names = begins.map(|(name, at)| (*at, name.clone())).collect();
        reader
    }

    /// Whether every entry is valid, up to the one that ends the table.
    fn is_whole(&self) -> bool {
        let last = self
            .heads
            .last()
            .and_then(|at| Some((at, self.entry(*at)?)));
        last.is_some_and(|(at, entry)| at + entry.bytes.len() == self.table.entries.len())
    }

    fn entry(&self, at: usize) -> Option<Entry<'_>> {
        Entry::at(self.layout, &self.table.entries, at)
    }

    /// Where the rules of a chain are, if there is one of that name. What ends it, a chain's policy or its
    /// return, is not a rule.
    fn rules(&self, name: &str) -> Option<Vec<usize>> {
        let mut at = *self.begins.get(name)?;
        let mut rules = Vec::new();
        while let Some(entry) = self.entry(at) {
            let next = at + entry.bytes.len();
            let begins_another = |after: Entry<'_>| after.target().0 == ERROR;
            if self.entry(next).is_none_or(begins_another) || self.names.contains_key(&next) {
                return Some(rules);
            }
            rules.push(at);
            at = next;
        }
        Some(rules)
    }

    /// So many of a chain's rules, if there is one of that name.
    pub fn chain(&self, name: &str, count: usize) -> Option<Chain> {
        let mut all = self.rules(name)?;
        all.truncate(count);
        let rule = |at: &usize| {
            let entry = self.entry(*at)?;
            self.rule(&entry, at + entry.bytes.len())
        };
        let rules: Vec<String> = all.iter().map_while(rule).collect();
        let is_whole = rules.len() == all.len();
        Some(Chain { rules, is_whole })
    }

    /// The rules of a chain, each as far as it can be read: its owner and where it leads, which is
    /// enough to remove it.
    fn outline(&self, name: &str) -> Option<Vec<String>> {
        let outline = |at: usize| {
            let entry = self.entry(at)?;
            let mut words = entry.header().unwrap_or_else(unknown);
            words.extend(
                entry
                    .matches()
                    .map(|word| word.unwrap_or_else(unknown_word)),
            );
            words.push(
                self.goes(&entry, at + entry.bytes.len())
                    .unwrap_or_else(unknown_word),
            );
            words.retain(|word| !word.is_empty());
            Some(words.join(" "))
        };
        self.rules(name)?.into_iter().map(outline).collect()
    }

    fn rule(&self, entry: &Entry, next: usize) -> Option<String> {
        let mut words = entry.header()?;
        for word in entry.matches() {
            words.push(word?);
        }
        words.push(self.goes(entry, next)?);
        words.retain(|word| !word.is_empty());
        Some(words.join(" "))
    }

    fn raw(&self, at: usize) -> Option<Raw> {
        let entry = self.entry(at)?;
        let mut tests = vec![Test {
            name: String::new(),
            kind: Kind::Header,
            data: entry.bytes.get(..=self.layout.inversions)?.to_vec(),
            revision: Vec::new(),
        }];
        for (name, revision, data) in entry.parts() {
            tests.push(Test {
                name: name.to_owned(),
                kind: Kind::Match,
                data: data.to_vec(),
                revision: revision.to_be_bytes().to_vec(),
            });
        }
        let end = match (entry.target(), self.jump(at)) {
            ((_, _, _), Some(_)) if entry.has_goto() => End::Other,
            ((_, _, _), Some(to)) => match self.names.get(&to) {
                Some(name) => End::Chain(name.clone()),
                None => End::Next,
            },
            (("", _, data), None) if u32_at(data, 0)?.cast_signed() == RETURN => End::Return,
            _ => End::Other,
        };
        Some(Raw {
            tests,
            end,
            expressions: Vec::new(),
        })
    }

    fn goes(&self, entry: &Entry, next: usize) -> Option<String> {
        match entry.target() {
            ("", _, data) => self.verdict(entry, u32_at(data, 0)?.cast_signed(), next),
            (name, revision, data) => xt::target(self.layout.family, name, revision, data),
        }
    }

    fn verdict(&self, entry: &Entry, verdict: i32, next: usize) -> Option<String> {
        if let Ok(offset) = usize::try_from(verdict) {
            // A jump to the next rule is what a rule without a target has.
            if offset == next {
                return Some(String::new());
            }
            let name = self.names.get(&offset)?;
            let option = if entry.has_goto() { "-g" } else { "-j" };
            return Some(format!("{option} {name}"));
        }
        let name = match verdict {
            RETURN => "RETURN",
            _ => match -1 - verdict {
                DROP => "DROP",
                ACCEPT => "ACCEPT",
                _ => return None,
            },
        };
        Some(format!("-j {name}"))
    }
}

/// The rules of a chain of the nat table in the kernel's own bytes; none without such a chain.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn raw(family: Family, chain: &str) -> Result<Vec<Raw>, Error> {
    let Some(reader) = Reader::of(family, Table::Nat)? else {
        return Ok(Vec::new());
    };
    let rules = reader.rules(chain).unwrap_or_default();
    Ok(rules.into_iter().filter_map(|at| reader.raw(at)).collect())
}

/// Whether there is a table, without making it.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn has(family: Family, table: Table) -> Result<bool, Error> {
    exists(family, table).map_err(|cause| unreadable(family, table, &cause.to_string()))
}

fn unreadable(family: Family, table: Table, details: &str) -> Error {
    let msg = format!("read the legacy table {} ({family})", table.name());
    Error::new(Code::System, msg).with_details(details)
}

fn invalid(family: Family, table: Table) -> Error {
    unreadable(family, table, "its entries are invalid")
}

/// A part that only iptables can print.
fn unknown_word() -> String {
    "-m unknown".to_owned()
}

fn unknown() -> Vec<String> {
    vec![unknown_word()]
}

/// Requests something of a table from the kernel; `None` where this namespace has no such table.
fn ask<T>(
    family: Family,
    table: Table,
    look: fn(bool, &str) -> Result<T, Errno>,
) -> Result<Option<T>, Error> {
    if !has(family, table)? {
        return Ok(None);
    }
    match look(family == Family::V6, table.name()) {
        Ok(found) => Ok(Some(found)),
        // Taken away meanwhile, with its module.
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(unreadable(family, table, errno.desc())),
    }
}

/// Whether a namespace has a table, without making it.
fn exists(family: Family, table: Table) -> io::Result<bool> {
    let file = match family {
        Family::V4 => "ip_tables_names",
        Family::V6 => "ip6_tables_names",
    };
    match fs::read_to_string(Path::new(NET).join(file)) {
        Ok(names) => Ok(names.lines().any(|name| name == table.name())),
        // Without the kernel's module there is no file, but a directory.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => fs::metadata(NET).map(|_| false),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests;
