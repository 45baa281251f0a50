//! Filters of kind `u32` on a hook: what they match, and where they send it.
//!
//! Layouts: include/uapi/linux/pkt_cls.h and include/uapi/linux/tc_act/tc_mirred.h.

mod decode;
mod encode;

use std::collections::HashMap;
use std::fmt;

use common::sys::netlink::{CREATE, DUMP, GET, Netlink, Refusal};
use common::sys::nla::Nla;
use nix::libc;

pub use self::decode::decode;
use self::encode::{Flows, options};
use super::{ABSENT, Handle, Header, Hook, TCA_CHAIN, TCA_KIND};

/// Attributes of a filter (include/uapi/linux/pkt_cls.h) and of its action.
const TCA_U32_CLASSID: u16 = 1;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
/// A filter as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// `u32`, `bpf`, …
    pub kind: String,
    /// Its number within its kind.
    pub handle: u32,
    /// Where it is: packets meet lower numbers first.
    pub priority: u16,
    /// The protocol it is for, an `ETH_P_*` number.
    pub protocol: u16,
    /// Its chain; packets meet only filters of chain 0 unless one sends them elsewhere.
    pub chain: u32,
    /// What it does, if it is a node of kind `u32`.
    pub rule: Option<Rule>,
}

impl Filter {
    /// Whether it is as filters of ours on its hook are written.
    fn is_as_written(&self) -> bool {
        let rule = self.rule.as_ref();
        rule.is_some_and(|rule| matches!(rule.verdict, Verdict::Redirect(_) | Verdict::Pass))
    }

    fn is_beside(&self, other: &Filter) -> bool {
        (self.priority, self.protocol, self.chain) == (other.priority, other.protocol, other.chain)
    }

    /// The number of its hash table.
    fn table(&self) -> u32 {
        self.handle >> 20
    }

    /// Whether it is not a filter, but a hash table, which the kernel lists among filters of kind `u32`.
    pub fn is_table(&self) -> bool {
        self.kind == "u32" && self.rule.is_none()
    }
}

/// What a filter matches and does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All must match; none matches everything.
    pub keys: Vec<Key>,
    /// Where what matches goes.
    pub verdict: Verdict,
}

/// A comparison of four bytes at an offset from the network header: `match u32 VALUE MASK at OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Bytes from the network header.
    pub offset: i32,
    /// What the bytes are, under the mask.
    pub value: u32,
    /// Which bits are compared.
    pub mask: u32,
}

/// Where a packet goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Out of the link of this index, and nowhere else. 0: a link that is gone.
    Redirect(u32),
    /// On its way, past all later filters.
    Pass,
    /// Anything else, in words, and the link that it names, if any.
    Other(String, Option<u32>),
}

impl Verdict {
    /// The link that packets are sent to.
    pub fn target(&self) -> Option<u32> {
        match self {
            Verdict::Redirect(target) => Some(*target),
            Verdict::Pass => None,
            Verdict::Other(_, target) => *target,
        }
    }

    /// Whether filters of ours do this, to a link that is there.
    pub fn is_planned(&self) -> bool {
        matches!(self, Verdict::Redirect(1..) | Verdict::Pass)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { keys, verdict } = self;
        if keys.is_empty() {
            f.write_str("everything")?;
        }
        for (index, key) in keys.iter().enumerate() {
            write!(f, "{}{key}", if index == 0 { "" } else { ", " })?;
        }
        match verdict {
            Verdict::Redirect(_) => f.write_str(" redirect"),
            Verdict::Pass => f.write_str(" pass"),
            Verdict::Other(what, _) => write!(f, " {what}"),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key {
            offset,
            value,
            mask,
        } = self;
        write!(f, "{value:08x}/{mask:08x} at {offset}")
    }
}

/// Every filter of a hook, in the order in which packets meet them.
///
/// # Errors
/// What the kernel refused.
pub fn list(netlink: &mut Netlink, link: u32, parent: Handle) -> Result<Vec<Filter>, Refusal> {
    let about = about(link, parent, (0, 0));
    match about.request(netlink, (libc::RTM_GETTFILTER, DUMP), &[]) {
        Ok(replies) => Ok(replies.iter().filter_map(|m| decode(m, link)).collect()),
        Err(refusal) if refusal.says(&ABSENT) => Ok(Vec::new()),
        Err(refusal) => Err(refusal),
    }
}

/// Every filter of a hook qdisc of some kind, with its hook. One of ours is listed under its own hook
/// alone, whatever the kernel does.
///
/// # Errors
/// What the kernel refused.
pub fn of_hooks(
    netlink: &mut Netlink,
    link: u32,
    kind: &str,
) -> Result<Vec<(Hook, Filter)>, Refusal> {
    let mut filters = Vec::new();
    for hook in [Hook::Ingress, Hook::Egress] {
        if hook == Hook::Ingress || kind == "clsact" {
            let listed = list(netlink, link, hook.parent(kind))?;
            filters.extend(listed.into_iter().map(|filter| (hook, filter)));
        }
    }
    Ok(without_shadows(filters))
}

/// Leaves out the filters that u32 lists under the other hook, too, where the flowid says which one is
/// theirs.
fn without_shadows(filters: Vec<(Hook, Filter)>) -> Vec<(Hook, Filter)> {
    let place = |filter: &Filter| (filter.priority, filter.chain, filter.handle);
    let known = filters.iter().filter(|(_, filter)| filter.is_as_written());
    let known: HashMap<_, Hook> = known.map(|(hook, f)| (place(f), *hook)).collect();
    let is_shadow = |hook: Hook, filter: &Filter| {
        let of = known.get(&place(filter));
        filter.kind == "u32" && !filter.is_as_written() && of.is_some_and(|of| *of != hook)
    };
    let all = filters.into_iter();
    all.filter(|(hook, filter)| !is_shadow(*hook, filter))
        .collect()
}

/// Adds a filter of kind `u32`.
///
/// # Errors
/// What the kernel refused.
pub fn add(
    netlink: &mut Netlink,
    link: u32,
    parent: Handle,
    place: (u16, u16),
    rule: &Rule,
) -> Result<(), Refusal> {
    let attributes = [Nla::text(TCA_KIND, "u32"), options(rule, Flows::of(parent))];
    let request = (libc::RTM_NEWTFILTER, CREATE);
    about(link, parent, place)
        .request(netlink, request, &attributes)
        .map(drop)
}

/// A filter to delete, or all of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Priority and protocol.
    pub place: (u16, u16),
    /// The filter's chain.
    chain: u32,
    /// The filter's number; 0 for all.
    handle: u32,
}

impl Deletion {
    /// The deletion of every filter of a place.
    pub fn of_place(place: (u16, u16)) -> Deletion {
        Deletion {
            place,
            chain: 0,
            handle: 0,
        }
    }

    /// The deletion of one filter.
    pub fn of(filter: &Filter) -> Deletion {
        Deletion {
            place: (filter.priority, filter.protocol),
            chain: filter.chain,
            handle: filter.handle,
        }
    }

    /// Whether it deletes this one of our filters.
    pub fn takes(&self, filter: &Filter) -> bool {
        (filter.priority, filter.protocol) == self.place
            && filter.chain == self.chain
            && (self.handle == 0 || self.handle == filter.handle)
    }
}

/// What deletes all of `own` and none of `others`. Where a place is ours alone it is deleted as a
/// whole: without its last filter it would stay and keep its protocol, as long as u32 filters are
/// at other places (`u32_delete` in net/sched/cls_u32.c).
pub fn deletions(own: &[&Filter], others: &[&Filter]) -> Vec<Deletion> {
    let mut deletions: Vec<Deletion> = Vec::new();
    for filter in own {
        let mut deletion = Deletion::of(filter);
        // A filter in another hash table is one of the other hook, if ours is known to be of this one.
        let shares = |other: &&Filter| {
            filter.is_beside(other) && (other.table() == filter.table() || !filter.is_as_written())
        };
        if !others.iter().any(shares) {
            deletion.handle = 0;
        }
        if !deletions.contains(&deletion) {
            deletions.push(deletion);
        }
    }
    deletions
}

/// Deletes filters of kind `u32`; that they are gone already is success.
///
/// # Errors
/// What the kernel refused.
pub fn delete(
    netlink: &mut Netlink,
    link: u32,
    parent: Handle,
    deletion: Deletion,
) -> Result<(), Refusal> {
    let about = Header {
        handle: deletion.handle,
        ..about(link, parent, deletion.place)
    };
    let mut attributes = vec![Nla::text(TCA_KIND, "u32")];
    if deletion.chain != 0 {
        attributes.push(Nla::u32(TCA_CHAIN, deletion.chain));
    }
    match about.request(netlink, (libc::RTM_DELTFILTER, GET), &attributes) {
        Err(refusal) if !refusal.says(&ABSENT) => Err(refusal),
        _ => Ok(()),
    }
}

fn about(index: u32, parent: Handle, (priority, protocol): (u16, u16)) -> Header {
    Header {
        index,
        handle: 0,
        parent,
        info: u32::from(priority) << 16 | u32::from(protocol.to_be()),
    }
}

#[cfg(test)]
mod tests;
