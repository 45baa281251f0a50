//! Tables of the legacy variant: entries one after the other, chains by where they begin.
//!
//! Layouts: include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h and
//! netfilter/x_tables.h. Numbers are in the machine's order.

pub mod edit;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use common::error::{Code, Error};
use common::sys::netlink::{text, u16_at, u32_at};
use common::sys::xtables::{self, Machine, XTable};
use nix::errno::Errno;

use super::super::rules::Table;
use super::super::state::State;
use super::raw::{End, Kind, Raw, Test};
use super::xt;
use crate::mapping::Family;

/// What the kernel says of this namespace.
const NET: &str = "/proc/thread-self/net";
/// Names of the chains of `enum nf_inet_hooks`, by number.
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
/// The target of an entry that is no rule: it begins a chain and holds its name, or ends the table.
const ERROR: &str = "ERROR";
/// Bytes of `struct xt_entry_match` and `struct xt_entry_target` before their data, and where in them
/// the revision is.
const PART: usize = 32;
const REVISION: usize = 31;
/// Bytes of an interface's name (`IFNAMSIZ`).
const IFNAME: usize = 16;
/// `IPT_INV_VIA_IN`, `IPT_INV_VIA_OUT`, `IPT_INV_SRCIP`, `IPT_INV_DSTIP`; the same for IPv6.
const NOT_IN: u8 = 0x01;
const NOT_OUT: u8 = 0x02;
const NOT_SRC: u8 = 0x08;
const NOT_DST: u8 = 0x10;
/// A standard target's verdict is where to jump, or one less than minus this (`NF_DROP`, `NF_ACCEPT`).
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
/// `XT_RETURN`
const RETURN: i32 = -5;

/// Where the parts of an entry are, in bytes.
struct Layout {
    family: Family,
    /// Of an address.
    addr: usize,
    /// Where the protocol is, the flags, and their inversions.
    protocol: usize,
    flags: usize,
    inversions: usize,
    /// Where the offsets of the target and of the next entry are.
    target: usize,
    next: usize,
    /// Of the entry before its matches.
    length: usize,
    /// `IPT_F_GOTO` or `IP6T_F_GOTO`, and of IPv6 what says that a protocol is asked for.
    goto: u8,
    harmless: u8,
}

/// Bytes of `struct xt_counters`, which ends an entry.
const COUNTERS: usize = 16;

/// `struct ipt_entry`
const fn v4(machine: Machine) -> Layout {
    Layout {
        family: Family::V4,
        addr: 4,
        protocol: 80,
        flags: 82,
        inversions: 83,
        target: 88,
        next: 90,
        length: machine.aligned(96) + COUNTERS,
        goto: 0x02,
        harmless: 0,
    }
}

/// `struct ip6t_entry`
const fn v6(machine: Machine) -> Layout {
    Layout {
        family: Family::V6,
        addr: 16,
        protocol: 128,
        flags: 131,
        inversions: 132,
        target: 140,
        next: 142,
        length: machine.aligned(148) + COUNTERS,
        goto: 0x04,
        harmless: 0x01,
    }
}

static V4: Layout = v4(Machine::THIS);
static V6: Layout = v6(Machine::THIS);

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

    /// Of the named chains those that exist, each up to the first rule that cannot be read.
    pub fn glimpse(&self, chains: &[(Table, &str)]) -> State {
        let mut state = State::default();
        for (table, name, Chain { rules, is_whole: _ }) in self.chains(chains) {
            state.insert(table, name, rules);
        }
        state
    }

    /// Of the named chains those that exist, if all their rules can be read.
    pub fn read(&self, chains: &[(Table, &str)]) -> Option<State> {
        let mut state = State::default();
        for (table, name, Chain { rules, is_whole }) in self.chains(chains) {
            is_whole.then_some(())?;
            state.insert(table, name, rules);
        }
        Some(state)
    }

    fn chains<'a>(
        &'a self,
        named: &'a [(Table, &str)],
    ) -> impl Iterator<Item = (Table, &'a str, Chain)> {
        named.iter().filter_map(|(table, name)| {
            let (_, reader) = self.0.iter().find(|(of, _)| of == table)?;
            Some((*table, *name, reader.chain(name)?))
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
    /// Where the entries are that begin the chains which somebody made, and the one that ends the table.
    heads: Vec<usize>,
}

impl Reader {
    /// Reads a table; `None` where this namespace has none: a legacy table is made by its first use.
    ///
    /// # Errors
    /// Code 100 where the kernel refuses, or says what makes no sense.
    pub fn of(family: Family, table: Table) -> Result<Option<Reader>, Error> {
        let refused = |details: &str| {
            let msg = format!("read the legacy table {} ({family})", table.name());
            Error::new(Code::System, msg).with_details(details)
        };
        let is_there = exists(family, table).map_err(|cause| refused(&cause.to_string()))?;
        if !is_there {
            return Ok(None);
        }
        match xtables::read(family == Family::V6, table.name()) {
            // Taken away meanwhile, with its module.
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(refused(errno.desc())),
            Ok(found) => match Reader::new(family, found) {
                reader if reader.is_whole() => Ok(Some(reader)),
                _ => Err(refused("its entries make no sense")),
            },
        }
    }

    /// Finds the chains.
    fn new(family: Family, table: XTable) -> Reader {
        let layout = match family {
            Family::V4 => &V4,
            Family::V6 => &V6,
        };
        let mut reader = Reader {
            layout,
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

    /// Whether every entry makes sense, up to the one that ends the table.
    fn is_whole(&self) -> bool {
        let last = self
            .heads
            .last()
            .and_then(|at| Some((at, self.entry(*at)?)));
        last.is_some_and(|(at, entry)| at + entry.bytes.len() == self.table.entries.len())
    }

    fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let rest = self.table.entries.get(at..)?;
        let next = usize::from(u16_at(rest, self.layout.next)?);
        let target = usize::from(u16_at(rest, self.layout.target)?);
        let is_sound = self.layout.length <= target && target + PART <= next;
        let bytes = rest.get(..next).filter(|_| is_sound)?;
        Some(Entry {
            layout: self.layout,
            bytes,
            target,
        })
    }

    /// Where the rules of a chain are, if there is one of that name. What ends it, a chain's policy or its
    /// return, is no rule.
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

    /// The rules of a chain, if there is one of that name.
    pub fn chain(&self, name: &str) -> Option<Chain> {
        let all = self.rules(name)?;
        let rule = |at: &usize| {
            let entry = self.entry(*at)?;
            self.rule(&entry, at + entry.bytes.len())
        };
        let rules: Vec<String> = all.iter().map_while(rule).collect();
        let is_whole = rules.len() == all.len();
        Some(Chain { rules, is_whole })
    }

    /// The rules of a chain, each as far as it can be read: whose it is and where it leads, which is
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
        Some(Raw { tests, end })
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

/// One entry, of sound offsets.
struct Entry<'a> {
    layout: &'static Layout,
    bytes: &'a [u8],
    /// Where the target begins.
    target: usize,
}

impl Entry<'_> {
    fn flag(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn has_goto(&self) -> bool {
        self.flag(self.layout.flags) & self.layout.goto != 0
    }

    /// The target's name, revision and data.
    fn target(&self) -> (&str, u32, &[u8]) {
        part(self.bytes.get(self.target..).unwrap_or(&[]))
    }

    /// Addresses, interfaces and the protocol. Fragments and the like are left to iptables.
    fn header(&self) -> Option<Vec<String>> {
        let Layout {
            addr,
            protocol,
            flags,
            inversions,
            goto,
            harmless,
            ..
        } = *self.layout;
        let (flags, not) = (self.flag(flags), self.flag(inversions));
        if flags & !goto & !harmless != 0 || not & !(NOT_IN | NOT_OUT | NOT_SRC | NOT_DST) != 0 {
            return None;
        }
        let field = |index: usize| self.bytes.get(addr * index..addr * (index + 1));
        let (source, to) = (
            xt::prefix(field(0)?, field(2)?)?,
            xt::prefix(field(1)?, field(3)?)?,
        );
        let (i, o) = (self.interface(0)?, self.interface(1)?);
        let interface = |option, name: Option<String>, flag| {
            name.map(|name| xt::interface(option, &name, not & flag != 0))
        };
        let mut words = vec![
            xt::network("-s", source, not & NOT_SRC != 0)?,
            xt::network("-d", to, not & NOT_DST != 0)?,
        ];
        words.extend(interface("-i", i, NOT_IN));
        words.extend(interface("-o", o, NOT_OUT));
        words.extend(match u16_at(self.bytes, protocol)? {
            0 => None,
            number => Some(xt::protocol(number)?),
        });
        Some(words)
    }

    /// The interface's whole name, or none; not the beginning of a name (`eth+`).
    fn interface(&self, index: usize) -> Option<Option<String>> {
        let first = 4 * self.layout.addr;
        let field = |n: usize| self.bytes.get(first + n * IFNAME..first + (n + 1) * IFNAME);
        let (name, mask) = (field(index)?, field(index + 2)?);
        let masked = mask.iter().take_while(|byte| **byte != 0).count();
        let name = text(name);
        match (name.is_empty(), masked) {
            (true, 0) => Some(None),
            (false, masked) if masked > name.len() => Some(Some(name)),
            _ => None,
        }
    }

    /// The matches, each of which may be one that cannot be read.
    fn matches(&self) -> impl Iterator<Item = Option<String>> {
        self.parts()
            .map(|(name, revision, data)| xt::matched(name, revision, data))
    }

    /// Names, revisions and data of the matches. What is no match any more has the name `?`.
    fn parts(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
        let mut rest = self
            .bytes
            .get(self.layout.length..self.target)
            .unwrap_or(&[]);
        std::iter::from_fn(move || {
            let size = u16_at(rest, 0)?;
            let this = rest
                .get(..usize::from(size))
                .filter(|this| this.len() >= PART);
            rest = this.map_or(&[], |this| rest.get(this.len()..).unwrap_or(&[]));
            Some(this.map_or(("?", 0, &[][..]), part))
        })
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

/// A part that only iptables can print.
fn unknown_word() -> String {
    "-m unknown".to_owned()
}

fn unknown() -> Vec<String> {
    vec![unknown_word()]
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

/// Name, revision and data of a match or a target.
fn part(bytes: &[u8]) -> (&str, u32, &[u8]) {
    let name = bytes.get(2..REVISION).unwrap_or(&[]);
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    let name = name.get(..end).and_then(|name| str::from_utf8(name).ok());
    let revision = bytes.get(REVISION).copied().unwrap_or(0);
    let data = bytes.get(PART..).unwrap_or(&[]);
    (name.unwrap_or("?"), u32::from(revision), data)
}

#[cfg(test)]
mod tests;
