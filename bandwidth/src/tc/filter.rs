//! Filters of kind `u32` on a hook: what they match, and where they send it.
//!
//! Layouts: include/uapi/linux/pkt_cls.h and include/uapi/linux/tc_act/tc_mirred.h.

mod decode;

use std::collections::HashMap;
use std::fmt;

use common::sys::netlink::{CREATE, DUMP, GET, Netlink, Refusal};
use common::sys::nla::Nla;
use nix::libc;

pub use self::decode::decode;
use super::{ABSENT, HOOK_EGRESS, Handle, Header, Hook, TCA_CHAIN, TCA_KIND, TCA_OPTIONS};

/// Attributes of a filter (include/uapi/linux/pkt_cls.h) and of its action.
const TCA_U32_CLASSID: u16 = 1;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TCA_EGRESS_REDIR: u32 = 1;
const TC_ACT_STOLEN: u32 = 4;
const TC_U32_TERMINAL: u8 = 1;
/// Actions are numbered in their order.
const FIRST_ACTION: u16 = 1;
/// Bytes of a `struct tc_u32_sel` without its keys, and of one key.
const SELECTOR: usize = 16;
const KEY: usize = 16;

/// The flowids of our filters on one hook. Each hook has its own: u32 lists the filters of both hooks of
/// a clsact under each where their priorities are equal (`u32_walk` in net/sched/cls_u32.c).
#[derive(Debug, Clone, Copy)]
struct Flows {
    /// Of a filter that redirects; the reference's `1:1` on the ingress.
    redirected: Handle,
    /// Of a filter that lets pass, which other people's do not have.
    passed: Handle,
}

impl Flows {
    fn of(parent: Handle) -> Flows {
        let minor = match parent {
            HOOK_EGRESS => 2,
            _ => 1,
        };
        Flows {
            redirected: 0x0001_0000 | minor,
            passed: 0xba55_0000 | minor,
        }
    }
}

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

/// A `struct tc_u32_sel` with its keys, the flowid, and the action.
fn options(rule: &Rule, flows: Flows) -> Nla {
    // As the reference and tc write it: without keys, one that compares nothing.
    let count = u8::try_from(rule.keys.len().max(1)).unwrap_or(u8::MAX);
    let mut selector = vec![TC_U32_TERMINAL, 0, count];
    selector.resize(SELECTOR, 0);
    for key in &rule.keys {
        selector.extend(key.mask.to_be_bytes());
        selector.extend(key.value.to_be_bytes());
        selector.extend(key.offset.to_ne_bytes());
        selector.extend([0; 4]);
    }
    selector.resize(SELECTOR + KEY * usize::from(count), 0);
    let classid = match rule.verdict {
        Verdict::Redirect(_) => flows.redirected,
        Verdict::Pass | Verdict::Other(..) => flows.passed,
    };
    let mut options = vec![
        Nla::u32(TCA_U32_CLASSID, classid),
        Nla::value(TCA_U32_SEL, selector),
    ];
    if let Verdict::Redirect(target) = rule.verdict {
        options.push(Nla::nested(TCA_U32_ACT, [redirect(target)]));
    }
    Nla::nested(TCA_OPTIONS, options)
}

/// `action mirred egress redirect dev TARGET`. The packet ends here (`stolen`): with any other
/// control the kernel sends on a copy and lets the original pass, unlimited.
fn redirect(target: u32) -> Nla {
    // `struct tc_mirred`: index, capab, action, refcnt, bindcnt, eaction, ifindex.
    let parms = [0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, target].map(u32::to_ne_bytes);
    let parms = Nla::value(TCA_MIRRED_PARMS, parms.as_flattened());
    let action = [
        Nla::text(TCA_ACT_KIND, "mirred"),
        Nla::nested(TCA_ACT_OPTIONS, [parms]),
    ];
    Nla::nested(FIRST_ACTION, action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tc::{HOOK_INGRESS, HOOKS};
    use common::sys::netlink::Message;

    fn read_back(written: &Rule, parent: Handle) -> Filter {
        listed(written, parent, parent)
    }

    /// A filter of one hook as the kernel lists it under another.
    fn listed(written: &Rule, of: Handle, under: Handle) -> Filter {
        let attributes = [Nla::text(TCA_KIND, "u32"), options(written, Flows::of(of))];
        let body = about(7, under, (1, 3)).body(&attributes).unwrap();
        let message = Message {
            kind: libc::RTM_NEWTFILTER,
            sequence: 1,
            body,
        };
        decode(&message, 7).unwrap()
    }

    #[test]
    fn a_place_of_ours_alone_is_deleted_whole_and_one_that_is_shared_filter_by_filter() {
        let filter = |priority, handle| Filter {
            kind: "u32".into(),
            handle,
            priority,
            protocol: 3,
            chain: 0,
            rule: Some(Rule {
                keys: Vec::new(),
                verdict: Verdict::Pass,
            }),
        };
        let (a, b) = (filter(1, 0x8000_0800), filter(1, 0x8000_0801));
        let (c, d) = (filter(2, 0x8010_0800), filter(3, 0x8020_0800));
        // The second is in another hash table, and so on the other hook.
        let others = [filter(2, 0x8010_0801), filter(3, 0x8030_0800)];
        let others: Vec<&Filter> = others.iter().collect();
        let deletions = deletions(&[&a, &b, &c, &d], &others);
        let handles: Vec<u32> = deletions.iter().map(|d| d.handle).collect();
        assert_eq!(handles, [0, 0x8010_0800, 0]);
        assert!(deletions[0].takes(&a) && deletions[0].takes(&b) && !deletions[0].takes(&c));
    }

    #[test]
    fn a_place_is_not_deleted_whole_for_a_filter_that_may_be_on_the_other_hook() {
        let filter = |handle| Filter {
            kind: "u32".into(),
            handle,
            priority: 1,
            protocol: 3,
            chain: 0,
            rule: Some(Rule {
                keys: Vec::new(),
                verdict: Verdict::Other("flowid 9:9".into(), Some(42)),
            }),
        };
        let (own, other) = (filter(0x8000_0800), filter(0x8010_0800));
        let handles = |others: &[&Filter]| -> Vec<u32> {
            let deletions = deletions(&[&own], others);
            deletions.iter().map(|d| d.handle).collect()
        };
        assert_eq!(handles(&[&other]), [0x8000_0800]);
        assert_eq!(handles(&[]), [0]);
    }

    #[test]
    fn what_u32_lists_under_the_other_hook_too_is_told_by_its_flowid() {
        let hooks = [(Hook::Ingress, HOOK_INGRESS), (Hook::Egress, HOOK_EGRESS)];
        for verdict in [Verdict::Redirect(42), Verdict::Redirect(0), Verdict::Pass] {
            let rule = Rule {
                keys: Vec::new(),
                verdict,
            };
            for (hook, of) in hooks {
                let all = hooks.map(|(hook, under)| (hook, listed(&rule, of, under)));
                let left = without_shadows(all.to_vec());
                let [(found, filter)] = &left[..] else {
                    panic!("{left:?}");
                };
                assert_eq!((found, &filter.rule), (&hook, &Some(rule.clone())));
            }
        }
    }

    #[test]
    fn filters_are_read_as_they_were_written() {
        let key = Key {
            offset: 12,
            value: 0x0a00_0000,
            mask: 0xff00_0000,
        };
        for keys in [vec![], vec![key], vec![key, Key { offset: 16, ..key }]] {
            for verdict in [Verdict::Redirect(42), Verdict::Pass] {
                let rule = Rule {
                    keys: keys.clone(),
                    verdict,
                };
                for parent in [HOOKS, HOOK_INGRESS, HOOK_EGRESS] {
                    let filter = read_back(&rule, parent);
                    assert_eq!((filter.priority, filter.protocol), (1, 3));
                    assert_eq!(filter.rule.as_ref(), Some(&rule));
                }
            }
        }
    }
}
