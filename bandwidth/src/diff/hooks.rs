//! The hook qdisc of the link, and the filters on it.

use common::Drift;

use super::{Difference, PRIORITIES};
use crate::change::{Change, Spot, Step};
use crate::observe::HookState;
use crate::plan::{Detour, PlannedFilter};
use crate::tc::Hook;
use crate::tc::filter::{self, Filter, Rule, Verdict};
use crate::tc::qdisc::HookKind;

impl Difference<'_> {
    /// The ingress or clsact qdisc that the plan's filters need.
    pub(super) fn hook(&self) -> Vec<Step> {
        if self.plan.detours.is_empty() {
            return Vec::new();
        }
        let add = |other| {
            Step::change(
                Change::AddHook(self.kind(), other),
                Some(Change::DeleteHook),
            )
        };
        match self.actual.hook.as_ref() {
            None => {
                let object = format!("clsact or ingress qdisc of {}", self.link.name);
                let drift = Drift::new(object, "one", "none").of_missing("qdisc");
                vec![add(None).because_of(drift)]
            }
            Some(hook) if hook.kind == self.kind().text() => Vec::new(),
            Some(hook) if self.actual.has_others() => vec![add(Some(hook.kind.clone()))],
            // It makes way for clsact, as only filters of ours are on it.
            Some(_) => {
                let mut steps = self.delete_filters(self.actual.side(Hook::Ingress));
                let undo = Change::AddHook(HookKind::Ingress, None);
                steps.push(Step::change(Change::DeleteHook, Some(undo)));
                steps.push(add(None));
                steps
            }
        }
    }

    /// The hook qdisc that is to be there: clsact, so that agents that come later find both hooks. An
    /// ingress qdisc serves where packets that go out make no detour.
    fn kind(&self) -> HookKind {
        match self.is_ingress() && self.plan.detour(Hook::Egress).is_none() {
            true => HookKind::Ingress,
            false => HookKind::Clsact,
        }
    }

    fn is_ingress(&self) -> bool {
        let hook = self.actual.hook.as_ref();
        hook.is_some_and(|hook| hook.kind == HookKind::Ingress.text())
    }

    /// Whether the filters of a hook go with an ingress qdisc that clsact replaces.
    fn is_swept(&self, side: &HookState) -> bool {
        side.hook == Hook::Ingress
            && self.is_ingress()
            && !self.plan.detours.is_empty()
            && self.kind() == HookKind::Clsact
    }

    /// The filters that lead to an ifb. Their priorities are no drift: where ours are depends on who
    /// else was there at ADD.
    pub(super) fn filters(&self, detour: &Detour, side: &HookState) -> Vec<Step> {
        // u32 lists the filters of both hooks of a clsact under each, where priorities are equal
        // (`u32_walk` in net/sched/cls_u32.c).
        let first = match side.hook {
            Hook::Ingress => self.priority,
            Hook::Egress => self.priority.saturating_add(PRIORITIES),
        };
        let wanted = placed(detour, first);
        let drifts = self.filter_drifts(detour, side);
        let are_placed = |(own, (place, _)): (&Filter, &((u16, u16), Rule))| {
            (own.priority, own.protocol) == *place
        };
        let is_there = drifts.is_empty() && side.own().zip(&wanted).all(are_placed);
        let mut steps: Vec<Step> = match self.actual.hook {
            Some(_) => drifts.into_iter().map(Step::drift).collect(),
            None => Vec::new(),
        };
        if is_there && !self.is_swept(side) {
            return steps;
        }
        if !self.is_swept(side) {
            steps.extend(self.delete_filters(side));
        }
        let mut last = None;
        for (place, rule) in wanted {
            let spot = self.spot(side.hook, self.kind().text(), place);
            let undo = match side.others().any(|f| (f.priority, f.protocol) == place) {
                true => Some(Change::DeleteFilter(spot, rule.clone())),
                false if last == Some(place) => None,
                false => {
                    let all = filter::Deletion::of_place(place);
                    Some(Change::DeleteFilters(spot, all))
                }
            };
            last = Some(place);
            steps.push(Step::change(Change::AddFilter(spot, rule), undo));
        }
        steps
    }

    pub(super) fn filter_drifts(&self, detour: &Detour, side: &HookState) -> Vec<Drift> {
        let kind = self.actual.hook.as_ref().map_or("", |hook| &hook.kind);
        let object = format!(
            "{} filters of {} ({kind} qdisc)",
            detour.hook, self.link.name
        );
        let mut own = sorted(side.own(), |own| {
            let keys = own.rule.as_ref().map(|rule| &rule.keys);
            (own.priority, own.protocol, keys)
        });
        let mut drifts = Vec::new();
        for planned in in_order(&detour.filters) {
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

    fn delete_filters(&self, side: &HookState) -> Vec<Step> {
        let kind = self.actual.hook.as_ref().map_or("", |hook| &hook.kind);
        let own: Vec<&Filter> = side.own().collect();
        let others: Vec<&Filter> = side.others().collect();
        let deletions = filter::deletions(&own, &others).into_iter();
        let step = |deletion: filter::Deletion| {
            let spot = self.spot(side.hook, kind, deletion.place);
            // A way to a link that is gone, or what we never make, is nothing to go back to.
            let rules = own.iter().filter(|own| deletion.takes(own));
            let rules = rules.filter_map(|own| own.rule.clone());
            let rules = rules.filter(|rule| rule.verdict.is_planned()).collect();
            let undo = Change::AddFilters(spot, rules);
            Step::change(Change::DeleteFilters(spot, deletion), Some(undo))
        };
        deletions.map(step).collect()
    }

    /// Filters to an ifb that an older limit left.
    pub(super) fn leftover_filters(&self, side: &HookState) -> Vec<Step> {
        match self.is_swept(side) {
            true => Vec::new(),
            false => self.delete_filters(side),
        }
    }

    /// The hook qdisc that an older limit left, if nobody else uses it.
    pub(super) fn leftover_hook(&self) -> Option<Step> {
        let is_made = |side: &HookState| {
            let mark = side.slot.mark.as_ref();
            !self.kept.contains(&side.slot.name) && mark.is_some_and(|mark| mark.hook_made)
        };
        let hook = self.actual.hook.as_ref()?;
        let is_left = self.plan.detours.is_empty()
            && !self.actual.has_others()
            && self.actual.sides.iter().any(is_made);
        let kind = match hook.kind == HookKind::Ingress.text() {
            true => HookKind::Ingress,
            false => HookKind::Clsact,
        };
        let undo = Change::AddHook(kind, None);
        is_left.then(|| Step::change(Change::DeleteHook, Some(undo)))
    }

    /// A place on the hook qdisc of that kind.
    fn spot(&self, hook: Hook, kind: &str, place: (u16, u16)) -> Spot {
        Spot {
            hook,
            parent: hook.parent(kind),
            place,
        }
    }
}

/// Planned filters as [`sorted`] has those that are found.
fn in_order(planned: &[PlannedFilter]) -> impl Iterator<Item = &PlannedFilter> {
    let places = planned.chunk_by(|one, next| one.protocol == next.protocol);
    places.flat_map(|place| sorted(place.iter(), |planned| &planned.rule.keys))
}

/// Filters with those of one place in the order of what they match. The kernel lists them in the order of
/// their handles, which it gives out from the middle (`gen_new_kid` in net/sched/cls_u32.c), so that the
/// 2049th precedes the first; as prefixes do not overlap, it is the same to packets.
fn sorted<'a, T, K: Ord>(
    filters: impl Iterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> std::vec::IntoIter<&'a T> {
    let mut filters: Vec<&T> = filters.collect();
    filters.sort_by_key(|filter| key(filter));
    filters.into_iter()
}

fn is_as_planned(planned: &PlannedFilter, found: &Filter, ifb: Option<u32>) -> bool {
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

/// The planned filters with their places: each protocol has a priority of its own, as the kernel
/// wants it.
fn placed(detour: &Detour, first: u16) -> Vec<((u16, u16), Rule)> {
    let mut priority = first;
    let mut last = detour.filters.first().map(|filter| filter.protocol);
    let mut placed = Vec::with_capacity(detour.filters.len());
    for filter in &detour.filters {
        if last != Some(filter.protocol) {
            last = Some(filter.protocol);
            priority = priority.saturating_add(1);
        }
        placed.push(((priority, filter.protocol), filter.rule.clone()));
    }
    placed
}
