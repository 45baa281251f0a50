//! Tables of the legacy variant: entries one after the other, chains by where they begin.
//!
//! Layouts: include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h and
//! netfilter/x_tables.h. Numbers are in the machine's order.

use std::collections::BTreeMap;

use common::sys::netlink::{text, u16_at, u32_at};
use common::sys::xtables::{self, XTable};

use super::super::rules::Table;
use super::super::state::State;
use super::xt;
use crate::mapping::Family;

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

/// `struct ipt_entry`
const V4: Layout = Layout {
    family: Family::V4,
    addr: 4,
    protocol: 80,
    flags: 82,
    inversions: 83,
    target: 88,
    next: 90,
    length: 112,
    goto: 0x02,
    harmless: 0,
};

/// `struct ip6t_entry`
const V6: Layout = Layout {
    family: Family::V6,
    addr: 16,
    protocol: 128,
    flags: 131,
    inversions: 132,
    target: 140,
    next: 142,
    length: 168,
    goto: 0x04,
    harmless: 0x01,
};

/// Some tables of one IP version.
pub struct Tables(Vec<(Table, Reader)>);

impl Tables {
    /// Reads tables; `None` where the kernel refuses.
    pub fn of(family: Family, tables: &[Table]) -> Option<Tables> {
        let read = |table: &Table| {
            let found = xtables::read(family == Family::V6, table.name()).ok()?;
            Some((*table, Reader::new(family, &found)))
        };
        tables.iter().map(read).collect::<Option<_>>().map(Tables)
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
    entries: Vec<u8>,
    /// Where the first rule of each chain is, and the other way round.
    begins: BTreeMap<String, usize>,
    names: BTreeMap<usize, String>,
}

impl Reader {
    /// Finds the chains.
    pub fn new(family: Family, table: &XTable) -> Reader {
        let layout = match family {
            Family::V4 => &V4,
            Family::V6 => &V6,
        };
        let mut reader = Reader {
            layout,
            entries: table.entries.clone(),
            begins: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        for (name, begin) in HOOKS.iter().zip(table.hooks) {
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
            }
            at = next;
        }
        let begins = reader.begins.iter();
        reader.names = begins.map(|(name, at)| (*at, name.clone())).collect();
        reader
    }

    fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let rest = self.entries.get(at..)?;
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

    /// The rules of a chain, if there is one of that name. What ends it, a chain's policy or its return,
    /// is no rule.
    pub fn chain(&self, name: &str) -> Option<Chain> {
        let mut at = *self.begins.get(name)?;
        let mut rules = Vec::new();
        while let Some(entry) = self.entry(at) {
            let next = at + entry.bytes.len();
            let ends = self
                .entry(next)
                .is_none_or(|after| after.target().0 == ERROR)
                || self.names.contains_key(&next);
            if ends {
                return Some(Chain {
                    rules,
                    is_whole: true,
                });
            }
            let Some(rule) = self.rule(&entry, next) else {
                break;
            };
            rules.push(rule);
            at = next;
        }
        Some(Chain {
            rules,
            is_whole: false,
        })
    }

    fn rule(&self, entry: &Entry, next: usize) -> Option<String> {
        let mut words = entry.header()?;
        words.extend(entry.matches()?);
        let goes = match entry.target() {
            ("", _, data) => self.verdict(entry, u32_at(data, 0)?.cast_signed(), next)?,
            (name, revision, data) => xt::target(self.layout.family, name, revision, data)?,
        };
        words.push(goes);
        words.retain(|word| !word.is_empty());
        Some(words.join(" "))
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

    fn matches(&self) -> Option<Vec<String>> {
        let mut words = Vec::new();
        let mut rest = self.bytes.get(self.layout.length..self.target)?;
        while !rest.is_empty() {
            let size = usize::from(u16_at(rest, 0)?);
            let this = rest.get(..size).filter(|this| this.len() >= PART)?;
            let (name, revision, data) = part(this);
            words.push(xt::matched(name, revision, data)?);
            rest = rest.get(size..)?;
        }
        Some(words)
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
