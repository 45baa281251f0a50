//! Filters as the kernel reports them.

use common::sys::netlink::{Message, attribute, each_attribute, text, u16_at, u32_at};
use nix::libc;

use super::encode::{Flows, KEY, SELECTOR, TC_ACT_STOLEN, TC_U32_TERMINAL, TCA_EGRESS_REDIR};
use super::{
    Filter, Key, Rule, TCA_ACT_KIND, TCA_ACT_OPTIONS, TCA_MIRRED_PARMS, TCA_U32_ACT,
    TCA_U32_CLASSID, TCA_U32_SEL, Verdict,
};
use crate::tc::{HEADER, TCA_CHAIN, TCA_KIND, TCA_OPTIONS, handle_text, header};

const TCA_U32_POLICE: u16 = 6;
const TCA_U32_INDEV: u16 = 8;
const TCA_U32_MARK: u16 = 10;
/// The number of the first hash table that the kernel makes by itself, for each place of a hook: the
/// one that is looked into (`gen_new_htid` in net/sched/cls_u32.c).
const FIRST_OWN_TABLE: u32 = 0x800;

/// Reads an `RTM_NEWTFILTER` about a link; `None` for any other message.
pub fn decode(message: &Message, link: u32) -> Option<Filter> {
    if message.kind != libc::RTM_NEWTFILTER {
        return None;
    }
    let head = header(&message.body).filter(|head| head.index == link)?;
    let attributes = message.body.get(HEADER..)?;
    let kind = text(attribute(attributes, TCA_KIND)?);
    let chain = attribute(attributes, TCA_CHAIN)
        .and_then(|value| u32_at(value, 0))
        .unwrap_or(0);
    let aside = match (chain, head.handle >> 20) {
        (0, 0 | FIRST_OWN_TABLE..) => None,
        (0, table) => Some(format!("in hash table {table:x}:")),
        (chain, _) => Some(format!("in chain {chain}")),
    };
    let rule = attribute(attributes, TCA_OPTIONS)
        .filter(|_| kind == "u32")
        .and_then(|options| rule(options, aside, Flows::of(head.parent)));
    Some(Filter {
        kind,
        handle: head.handle,
        priority: u16::try_from(head.info >> 16).ok()?,
        protocol: u16::from_be(u16::try_from(head.info & 0xffff).ok()?),
        chain,
        rule,
    })
}

/// The rule of a node; `None` for the hash tables that the kernel lists among the nodes. `aside`
/// names a place where packets do not come by themselves; `flows` are those of our filters there.
fn rule(options: &[u8], aside: Option<String>, flows: Flows) -> Option<Rule> {
    let selector = attribute(options, TCA_U32_SEL)?;
    let classid = attribute(options, TCA_U32_CLASSID).and_then(|value| u32_at(value, 0));
    let actions = attribute(options, TCA_U32_ACT).map(actions);
    let target = actions.iter().flatten().find_map(Verdict::target);
    let has = |wanted: &[u16]| each_attribute(options).any(|(kind, _)| wanted.contains(&kind));
    let other = |what: String| Verdict::Other(what, target);
    let flowid = || {
        classid.map_or("no flowid".into(), |id| {
            format!("flowid {}", handle_text(id))
        })
    };
    let verdict = match (aside, actions.as_ref().and_then(|actions| actions.first())) {
        (Some(aside), _) => other(aside),
        _ if has(&[TCA_U32_POLICE, TCA_U32_MARK]) => other("a policer or a mark".into()),
        _ if has(&[TCA_U32_INDEV]) => other("one incoming interface alone".into()),
        _ if !is_plain(selector) => other("a selector with offsets".into()),
        // A redirect to nowhere is a leftover of ours only if it looks like ours.
        (_, Some(Verdict::Redirect(0))) if classid != Some(flows.redirected) => {
            other("redirect to a link that is gone".into())
        }
        (_, Some(Verdict::Redirect(_))) if classid != Some(flows.redirected) => {
            other(format!("redirect with {}", flowid()))
        }
        // Later actions are never reached after a `stolen`.
        (_, Some(Verdict::Other(what, _))) => other(what.clone()),
        (_, Some(verdict)) => verdict.clone(),
        (_, None) if classid == Some(flows.passed) => Verdict::Pass,
        (_, None) => other(flowid()),
    };
    Some(Rule {
        keys: keys(selector)?,
        verdict,
    })
}

/// Whether a selector ends the search and looks at fixed offsets only.
fn is_plain(selector: &[u8]) -> bool {
    selector.first() == Some(&TC_U32_TERMINAL) && u16_at(selector, 6) == Some(0)
}

fn keys(selector: &[u8]) -> Option<Vec<Key>> {
    let count = usize::from(*selector.get(2)?);
    let mut keys = Vec::with_capacity(count);
    for raw in selector.get(SELECTOR..)?.chunks_exact(KEY).take(count) {
        let key = Key {
            mask: u32::from_be(u32_at(raw, 0)?),
            value: u32::from_be(u32_at(raw, 4)?),
            offset: u32_at(raw, 8)?.cast_signed(),
        };
        // A key without a mask compares nothing.
        keys.extend((key.mask != 0).then_some(key));
    }
    Some(keys)
}

/// What the actions do, in their order.
fn actions(list: &[u8]) -> Vec<Verdict> {
    let actions = each_attribute(list);
    actions.filter_map(|(_, raw)| action(raw)).collect()
}

fn action(raw: &[u8]) -> Option<Verdict> {
    let kind = text(attribute(raw, TCA_ACT_KIND)?);
    if kind != "mirred" {
        return Some(Verdict::Other(format!("action {kind}"), None));
    }
    let parms = attribute(attribute(raw, TCA_ACT_OPTIONS)?, TCA_MIRRED_PARMS)?;
    // tc_gen is index, capab, action, refcnt, bindcnt; then eaction and ifindex.
    let (control, what, target) = (u32_at(parms, 8)?, u32_at(parms, 20)?, u32_at(parms, 24)?);
    Some(match (what, control) {
        (TCA_EGRESS_REDIR, TC_ACT_STOLEN) => Verdict::Redirect(target),
        (TCA_EGRESS_REDIR, control) => Verdict::Other(
            format!("mirred egress redirect to link {target} with control {control}"),
            Some(target),
        ),
        (what, _) => Verdict::Other(format!("mirred {what} to link {target}"), Some(target)),
    })
}
