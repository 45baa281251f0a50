//! One entry of a table: where its parts are, and its matches and target.

use common::Family;
use common::sys::netlink::{text, u16_at};
use common::sys::xtables::Machine;

use crate::xt;

/// Bytes of `struct xt_entry_match` and `struct xt_entry_target` before their data, and where in them
/// the revision is.
pub const PART: usize = 32;
pub const REVISION: usize = 31;
/// Bytes of an interface's name (`IFNAMSIZ`).
const IFNAME: usize = 16;
/// `IPT_INV_VIA_IN`, `IPT_INV_VIA_OUT`, `IPT_INV_SRCIP`, `IPT_INV_DSTIP`; the same for IPv6.
pub const NOT_IN: u8 = 0x01;
const NOT_OUT: u8 = 0x02;
const NOT_SRC: u8 = 0x08;
const NOT_DST: u8 = 0x10;
/// Where the parts of an entry are, in bytes.
pub struct Layout {
    pub family: Family,
    /// Of an address.
    pub addr: usize,
    /// Where the protocol is, the flags, and their inversions.
    pub protocol: usize,
    pub flags: usize,
    pub inversions: usize,
    /// Where the offsets of the target and of the next entry are.
    pub target: usize,
    pub next: usize,
    /// Of the entry before its matches.
    pub length: usize,
    /// `IPT_F_GOTO` or `IP6T_F_GOTO`, and of IPv6 what says that a protocol is matched.
    pub goto: u8,
    pub harmless: u8,
}

/// Bytes of `struct xt_counters`, which ends an entry.
pub const COUNTERS: usize = 16;

/// `struct ipt_entry`
pub const fn v4(machine: Machine) -> Layout {
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
pub const fn v6(machine: Machine) -> Layout {
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

pub static V4: Layout = v4(Machine::THIS);
pub static V6: Layout = v6(Machine::THIS);

impl Layout {
    /// Of this machine.
    pub fn of(family: Family) -> &'static Layout {
        match family {
            Family::V4 => &V4,
            Family::V6 => &V6,
        }
    }
}

/// One entry, of sound offsets.
pub struct Entry<'a> {
    pub layout: &'static Layout,
    pub bytes: &'a [u8],
    /// Where the target begins.
    pub target: usize,
}

impl<'a> Entry<'a> {
    /// The entry that begins there, if there is a sound one.
    pub fn at(layout: &'static Layout, entries: &'a [u8], at: usize) -> Option<Entry<'a>> {
        let rest = entries.get(at..)?;
        let next = usize::from(u16_at(rest, layout.next)?);
        let target = usize::from(u16_at(rest, layout.target)?);
        let is_sound = layout.length <= target && target + PART <= next;
        let bytes = rest.get(..next).filter(|_| is_sound)?;
        Some(Entry {
            layout,
            bytes,
            target,
        })
    }

    fn flag(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    pub fn has_goto(&self) -> bool {
        self.flag(self.layout.flags) & self.layout.goto != 0
    }

    /// The target's name, revision and data.
    pub fn target(&self) -> (&str, u32, &[u8]) {
        part(self.bytes.get(self.target..).unwrap_or(&[]))
    }

    /// Addresses, interfaces and the protocol. Fragments and the like are left to iptables.
    pub fn header(&self) -> Option<Vec<String>> {
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
    pub fn matches(&self) -> impl Iterator<Item = Option<String>> {
        self.parts()
            .map(|(name, revision, data)| xt::matched(name, revision, data))
    }

    /// Names, revisions and data of the matches. What is not a match any longer has the name `?`.
    pub fn parts(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
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
