//! The difference between the plan and what the kernel has, in steps.

use std::collections::HashMap;

use common::sys::link::{self, Link};
use common::{Code, Drift, Error};

use crate::attribute;
use crate::backup::Shown;
use crate::change::{Change, Step};
use crate::config::Setting;
use crate::meaning;
use crate::observe::{Actual, Reading, Seen};
use crate::offload::{Side, Value};
use crate::plan::Plan;
use crate::sysctl::Name;

/// Every step, in the plan's order, where `shown` is how the kernel showed what ADD wrote. That the
/// interface is gone is a difference whatever the plan says.
///
/// # Errors
/// Code 7 for offloads that an interface does not have or cannot switch, and where there is no peer.
pub fn steps(
    plan: &Plan,
    actual: &Actual,
    ifname: &str,
    shown: &[Shown],
) -> Result<Vec<Step>, Error> {
    let shown: HashMap<&Name, &Shown> = shown.iter().map(|s| (&s.name, s)).collect();
    let sysctls = plan.sysctls.iter().zip(&actual.sysctls);
    let mut steps: Vec<Step> = Vec::new();
    for (place, (setting, reading)) in sysctls.enumerate() {
        let beside = actual.beside.get(place).into_iter().flatten();
        steps.extend(beside.map(kept));
        // It was written before the MTU, which took it away.
        let link = actual.link.as_ref();
        if *reading == Reading::Missing && plan.has_taken_away(&setting.name, link) {
            continue;
        }
        let shown = shown.get(&setting.name).copied();
        steps.push(sysctl(setting, reading, shown));
    }
    match &actual.link {
        None => {
            let drift = Drift::new(format!("interface {ifname}"), "present", "none");
            steps.push(Step::drift(drift.of_missing("interface")));
        }
        Some(link) => {
            steps.extend(actual.beside_mtu.iter().map(kept));
            steps.extend(plan.link.iter().map(|change| attribute(*change, link)));
            steps.extend(offloads(plan, actual)?);
        }
    }
    Ok(steps)
}

/// A value that the kernel changes beside another one: it is only to be restored.
fn kept((name, value): &(Name, String)) -> Step {
    Step {
        drift: None,
        change: None,
        undo: Some(Change::Sysctl(name.clone(), value.clone())),
    }
}

/// Sysctls are written even when they read right: one that is written before may change them.
fn sysctl(setting: &Setting, reading: &Reading, shown: Option<&Shown>) -> Step {
    let Setting { name, value, .. } = setting;
    let original = match reading {
        Reading::Value(actual) => Some(Change::Sysctl(name.clone(), actual.clone())),
        Reading::WriteOnly | Reading::Unreadable(_) | Reading::Missing => None,
    };
    let step = Step::change(Change::Sysctl(name.clone(), value.clone()), original);
    let actual = match reading {
        Reading::Value(actual) if meaning::same(actual, value) => return step,
        Reading::Value(actual) if shown.is_some_and(|s| s.is_of(value, actual)) => return step,
        Reading::WriteOnly => return step,
        Reading::Value(actual) => name.shown(actual),
        Reading::Missing => "no such sysctl",
        Reading::Unreadable(why) => why.as_str(),
    };
    let object = format!("sysctl {}", name.text());
    step.because_of(Drift::new(object, name.shown(value), actual))
}

fn attribute(change: link::Change, link: &Link) -> Step {
    let present = attribute::present(link, change);
    let undo = present.map(Change::Link);
    if present == Some(change) {
        return Step {
            drift: None,
            change: None,
            undo,
        };
    }
    let found = present.map_or_else(|| "none".to_owned(), attribute::value);
    let object = format!("{} of {}", attribute::name(change), link.name);
    let drift = Drift::new(object, attribute::value(change), found);
    Step::change(Change::Link(change), undo).because_of(drift)
}

/// The features that the offloads mean on the interfaces that there are.
///
/// # Errors
/// As [`steps`].
pub fn offloads(plan: &Plan, actual: &Actual) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    for wish in &plan.offloads {
        let seen = actual.ends.iter().find(|seen| seen.side == wish.side);
        let seen = seen.ok_or_else(|| {
            let msg = "hostOffload: the container's interface has no veth peer on this node";
            Error::new(Code::InvalidConfig, msg)
        })?;
        let values = wish.values(&seen.link, &seen.features)?;
        steps.extend(values.into_iter().map(|value| offload(seen, value)));
    }
    Ok(steps)
}

fn offload(seen: &Seen, value: Value) -> Step {
    let words = |on| if on { "on" } else { "off" };
    let host = match seen.side {
        Side::Host => " on the node",
        Side::Container => "",
    };
    let feature = seen.features.iter().find(|f| f.name == value.name);
    let original = feature.map(|feature| {
        let (name, on) = (value.name.clone(), feature.wanted);
        Change::Offload(seen.side, Value { name, on })
    });
    let drift = feature.filter(|f| f.active != value.on).map(|feature| {
        let object = format!("offload {} of {}{host}", value.name, seen.link);
        Drift::new(object, words(value.on), words(feature.active))
    });
    let step = Step::change(Change::Offload(seen.side, value), original);
    Step { drift, ..step }
}
