//! Filters as the kernel tells of them.

use common::sys::netlink::{Message, attribute, each_attribute, text, u16_at, u32_at};
use netlink_packet_route::tc::TcU32SelectorFlags;
use nix::libc;

use super::{Filter, Key, PASSED, REDIRECTED, Rule, Verdict};
use crate::tc::{HEADER, TCA_KIND, TCA_OPTIONS, handle_text, header};

const TCA_U32_CLASSID: u16 = 1;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_POLICE: u16 = 6;
const TCA_U32_ACT: u16 = 7;
const TCA_U32_MARK: u16 = 10;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TCA_EGRESS_REDIR: u32 = 1;
const TC_ACT_STOLEN: u32 = 4;
/// Bytes of a `struct tc_u32_sel` without its keys, and of one key.
const SELECTOR: usize = 16;
const KEY: usize = 16;

/// Reads an `RTM_NEWTFILTER` about a link; `None` for any other message.
pub fn decode(message: &Message, link: u32) -> Option<Filter> {
    if message.kind != libc::RTM_NEWTFILTER {
        return None;
    }
    let head = header(&message.body).filter(|head| head.index == link)?;
    let attributes = message.body.get(HEADER..)?;
    let kind = text(attribute(attributes, TCA_KIND)?);
    let rule = attribute(attributes, TCA_OPTIONS)
        .filter(|_| kind == "u32")
        .and_then(rule);
    Some(Filter {
        kind,
        handle: head.handle,
        priority: u16::try_from(head.info >> 16).ok()?,
        protocol: u16::from_be(u16::try_from(head.info & 0xffff).ok()?),
        rule,
    })
}

/// The rule of a node; `None` for the hash tables that the kernel lists among the nodes.
fn rule(options: &[u8]) -> Option<Rule> {
    let selector = attribute(options, TCA_U32_SEL)?;
    let classid = attribute(options, TCA_U32_CLASSID).and_then(|value| u32_at(value, 0));
    let action = attribute(options, TCA_U32_ACT).and_then(first_action);
    let more =
        each_attribute(options).any(|(kind, _)| matches!(kind, TCA_U32_POLICE | TCA_U32_MARK));
    let other = |what: String| Verdict::Other(what, action.as_ref().and_then(Verdict::target));
    let verdict = match &action {
        _ if more => other("a policer or a mark".into()),
        _ if !is_plain(selector) => other("a selector with offsets".into()),
        // A redirect to nowhere is a leftover of ours only if it looks like ours.
        Some(Verdict::Redirect(0)) if classid != Some(REDIRECTED) => {
            other("redirect to a link that is gone".into())
        }
        Some(verdict) => verdict.clone(),
        None if classid == Some(PASSED) => Verdict::Pass,
        None => other(classid.map_or("no flowid".into(), |id| {
            format!("flowid {}", handle_text(id))
        })),
    };
    Some(Rule {
        keys: keys(selector)?,
        verdict,
    })
}

/// Whether a selector ends the search and looks at fixed offsets only.
fn is_plain(selector: &[u8]) -> bool {
    selector.first() == Some(&TcU32SelectorFlags::Terminal.bits()) && u16_at(selector, 6) == Some(0)
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

/// What the first action does. Later ones are never reached after a `stolen`.
fn first_action(actions: &[u8]) -> Option<Verdict> {
    let (_, action) = each_attribute(actions).next()?;
    let kind = text(attribute(action, TCA_ACT_KIND)?);
    if kind != "mirred" {
        return Some(Verdict::Other(format!("action {kind}"), None));
    }
    let parms = attribute(attribute(action, TCA_ACT_OPTIONS)?, TCA_MIRRED_PARMS)?;
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
