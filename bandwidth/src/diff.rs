//! The differences between the plan and what the kernel holds.

use common::Drift;

use crate::observe::{Actual, HookState};
use crate::plan::{Detour, Hook, Numbers, Plan};
use crate::tbf::Tbf;
use crate::tc::filter::{Filter, Verdict};
use crate::tc::qdisc::{Bucket, Count, Qdisc};
use crate::tc::{BUCKET, handle_text};

impl Plan {
    /// Every difference. A direction that has no limit is not looked at: it may be another's.
    pub fn drifts(&self, actual: &Actual) -> Vec<Drift> {
        let mut drifts = Vec::new();
        if let Some(numbers) = &self.root {
            drifts.extend(of_bucket(&self.link, numbers, actual.root.as_ref()));
        }
        for detour in &self.detours {
            if let Some(side) = actual.sides.iter().find(|side| side.hook == detour.hook) {
                drifts.extend(of_ifb(detour, side));
                drifts.extend(of_filters(&self.link, detour, side, actual.hook.as_ref()));
            }
        }
        drifts
    }

    /// The devices of the plan without a bucket, or to which not all leads that is to be limited: each
    /// with its numbers and the hook where its packets leave their usual path.
    pub fn missing(&self, actual: &Actual) -> Vec<(String, Tbf, Hook)> {
        let has_bucket = |qdisc: Option<&Qdisc>| qdisc.is_some_and(|q| q.bucket.is_some());
        let root = self.root.filter(|_| !has_bucket(actual.root.as_ref()));
        let root = root.map(|numbers| (self.link.clone(), numbers.ours, Hook::Egress));
        let detours = self.detours.iter().filter(|detour| {
            let side = actual.sides.iter().find(|side| side.hook == detour.hook);
            side.is_none_or(|side| {
                let hook = actual.hook.as_ref();
                !has_bucket(side.bucket.as_ref())
                    || !of_filters(&self.link, detour, side, hook).is_empty()
            })
        });
        let detours = detours.map(|d| (d.ifb.clone(), d.tbf.ours, d.hook));
        root.into_iter().chain(detours).collect()
    }
}

/// The differences of a token bucket that is the root qdisc of `link`.
fn of_bucket(link: &str, numbers: &Numbers, actual: Option<&Qdisc>) -> Vec<Drift> {
    let object = format!("root qdisc of {link}");
    let Some(qdisc) = actual else {
        return vec![Drift::new(object, numbers.ours, "none").of_missing("qdisc")];
    };
    let mut drifts = Vec::new();
    if qdisc.handle != BUCKET && qdisc.kind == "tbf" {
        let (expected, actual) = (handle_text(BUCKET), handle_text(qdisc.handle));
        drifts.push(Drift::new(
            format!("handle of the {object}"),
            expected,
            actual,
        ));
    }
    match qdisc.bucket {
        Some(bucket) => {
            drifts.extend(of_numbers(&object, numbers, bucket));
            let queue = qdisc.stranger.iter();
            drifts
                .extend(queue.map(|q| Drift::new(format!("queue of the {object}"), "its own", q)));
        }
        None => drifts.push(Drift::new(object, numbers.ours, &qdisc.kind)),
    }
    drifts
}

fn of_numbers(object: &str, numbers: &Numbers, actual: Bucket) -> Vec<Drift> {
    let Bucket { tbf, peak, count } = actual;
    let mut drifts = Vec::new();
    if peak != 0 {
        let found = format!("{peak} bytes per second");
        drifts.push(Drift::new(
            format!("peak rate of the {object}"),
            "none",
            found,
        ));
    }
    if count != Count::default() {
        let Count { overhead, mpu, atm } = count;
        let cells = if atm { " in cells of ATM" } else { "" };
        drifts.push(Drift::new(
            format!("length of packets in the {object}"),
            "as they are",
            format!("overhead {overhead} mpu {mpu} bytes{cells}"),
        ));
    }
    if Some(tbf) == numbers.reference {
        return drifts;
    }
    let Tbf {
        rate,
        buffer,
        limit,
    } = numbers.ours;
    let mut differ = |what: &str, unit: &str, expected: u64, actual: u64| {
        if expected != actual {
            drifts.push(Drift::new(
                format!("{what} of the {object}"),
                format!("{expected} {unit}"),
                format!("{actual} {unit}"),
            ));
        }
    };
    differ("rate", "bytes per second", rate, tbf.rate);
    differ("burst", "ticks", buffer.into(), tbf.buffer.into());
    differ("limit", "bytes", limit.into(), tbf.limit.into());
    drifts
}

/// The differences of the ifb itself.
fn of_ifb(detour: &Detour, side: &HookState) -> Vec<Drift> {
    let object = &detour.ifb;
    let Some(ifb) = &side.slot.link else {
        let found = match &side.slot.taken_by {
            Some(kind) => format!("a link of kind {kind} that is not this container's"),
            None => "none".into(),
        };
        return vec![Drift::new(object, "a link of kind ifb", found).of_missing("ifb")];
    };
    let mut drifts = Vec::new();
    // The reference's ifbs have no alias.
    if let Some(alias) = ifb.alias.as_deref().filter(|alias| !alias.is_empty())
        && side.slot.mark.is_none()
    {
        drifts.push(Drift::new(format!("alias of {object}"), "its owner", alias));
    }
    if ifb.mtu != detour.mtu {
        drifts.push(Drift::new(format!("mtu of {object}"), detour.mtu, ifb.mtu));
    }
    if !ifb.up {
        drifts.push(Drift::new(format!("state of {object}"), "up", "down"));
    }
    drifts.extend(of_bucket(object, &detour.tbf, side.bucket.as_ref()));
    drifts
}

/// The differences of the filters that lead to the ifb. Their priorities are not compared: where
/// ours stand depends on who else was there at ADD.
fn of_filters(link: &str, detour: &Detour, side: &HookState, hook: Option<&Qdisc>) -> Vec<Drift> {
    let Some(hook) = hook else {
        let object = format!("clsact or ingress qdisc of {link}");
        let drift = Drift::new(object, "one", "none");
        return vec![drift.of_missing("qdisc")];
    };
    let object = format!("{} filters of {link} ({} qdisc)", detour.hook, hook.kind);
    let mut own = side.own();
    let mut drifts = Vec::new();
    for planned in &detour.filters {
        let found = own.next();
        if !found.is_some_and(|found| is_as_planned(planned, found, side.slot.index())) {
            let text = found.map_or("none".into(), describe);
            let drift = Drift::new(&object, format!("{planned} {}", detour.ifb), text);
            drifts.push(match found {
                Some(_) => drift,
                None => drift.of_missing("filter"),
            });
        }
    }
    drifts.extend(own.map(|more| Drift::new(&object, "no more", describe(more))));
    drifts
}

fn is_as_planned(planned: &crate::plan::PlannedFilter, found: &Filter, ifb: Option<u32>) -> bool {
    let Some(rule) = &found.rule else {
        return false;
    };
    let is_same_verdict = match (&planned.rule.verdict, &rule.verdict) {
        (Verdict::Redirect(_), Verdict::Redirect(target)) => Some(*target) == ifb,
        (planned, found) => planned == found,
    };
    found.protocol == planned.protocol && rule.keys == planned.rule.keys && is_same_verdict
}

fn describe(filter: &Filter) -> String {
    let rule = filter.rule.as_ref().map_or(filter.kind.clone(), |rule| {
        let gone = matches!(rule.verdict, Verdict::Redirect(0));
        format!(
            "{rule}{}",
            if gone { " to a link that is gone" } else { "" }
        )
    });
    format!(
        "protocol {:#06x} pref {} {rule}",
        filter.protocol, filter.priority
    )
}
