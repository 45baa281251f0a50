//! The bytes of a filter.

use common::sys::nla::Nla;

use super::{
    Rule, TCA_ACT_KIND, TCA_ACT_OPTIONS, TCA_MIRRED_PARMS, TCA_U32_ACT, TCA_U32_CLASSID,
    TCA_U32_SEL, Verdict,
};
use crate::tc::{HOOK_EGRESS, Handle, TCA_OPTIONS};

pub(super) const TCA_EGRESS_REDIR: u32 = 1;
pub(super) const TC_ACT_STOLEN: u32 = 4;
pub(super) const TC_U32_TERMINAL: u8 = 1;
/// Actions are numbered in their order.
pub(super) const FIRST_ACTION: u16 = 1;
/// Bytes of a `struct tc_u32_sel` without its keys, and of one key.
pub(super) const SELECTOR: usize = 16;
pub(super) const KEY: usize = 16;

/// The flowids of our filters on one hook. Each hook has its own: u32 lists the filters of both hooks of
/// a clsact under each where their priorities are equal (`u32_walk` in net/sched/cls_u32.c).
#[derive(Debug, Clone, Copy)]
pub(super) struct Flows {
    /// Of a filter that redirects; the reference's `1:1` on the ingress.
    pub(super) redirected: Handle,
    /// Of a filter that lets pass, which other people's do not have.
    pub(super) passed: Handle,
}

impl Flows {
    pub(super) fn of(parent: Handle) -> Flows {
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

/// A `struct tc_u32_sel` with its keys, the flowid, and the action.
pub(super) fn options(rule: &Rule, flows: Flows) -> Nla {
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
