//! The difference between the plan and what the kernel holds, in steps.

mod bucket;
mod hooks;

use common::Drift;
use common::sys::link::{self, Link};

use crate::change::{Change, On, Step};
use crate::observe::{Actual, HookState};
use crate::owner::{Mark, is_of_another};
use crate::plan::{Detour, Numbers, Plan};
use crate::tbf::Tbf;
use crate::tc::qdisc::Qdisc;
use crate::tc::{BUCKET, Hook};

/// Priorities that the filters of one hook take: one for each of IPv4, IPv6 and everything.
pub const PRIORITIES: u16 = 3;

/// A plan and what the kernel holds.
pub struct Difference<'a> {
    /// What the kernel is to hold.
    pub plan: &'a Plan,
    /// What it holds.
    pub actual: &'a Actual,
    /// The link to limit.
    pub link: &'a Link,
    /// The mark for each ifb.
    pub mark: &'a Mark,
    /// The first of the priorities for our filters.
    pub priority: u16,
    /// Interfaces that earlier plugins of the chain named: their ifbs are no leftovers, though not
    /// planned.
    pub kept: &'a [String],
    /// Whether the plan is all that the attachment is to have. If not, another plugin of the chain may
    /// have set the link's token bucket, which no result names.
    pub is_whole: bool,
    /// Whether a bucket with the reference's numbers is not a drift.
    pub accepts_reference: bool,
}

impl Difference<'_> {
    /// Every step, in an order that limits nothing before everything is ready. What cannot be undone
    /// comes last. A direction that has no limit is not a drift: it may be another's.
    pub fn steps(&self) -> Vec<Step> {
        let detours = || {
            let detours = self.plan.detours.iter();
            detours.map(|detour| (detour, self.actual.side(detour.hook)))
        };
        let mut steps: Vec<Step> = Vec::new();
        steps.extend(detours().flat_map(|(detour, side)| self.ifb(detour, side)));
        steps.extend(self.hook());
        steps.extend(detours().flat_map(|(detour, side)| self.filters(detour, side)));
        steps.extend(self.mark_of_link());
        let root = self.plan.root.iter();
        steps.extend(
            root.flat_map(|numbers| {
                self.bucket(&self.limited(), numbers, self.actual.root.as_ref())
            }),
        );
        steps.extend(self.leftovers());
        steps
    }

    /// The steps that remove what an older limit left, of each direction by itself.
    pub fn leftovers(&self) -> Vec<Step> {
        let filters = self.left().flat_map(|side| self.leftover_filters(side));
        let mut steps: Vec<Step> = filters.collect();
        steps.extend(self.leftover_hook());
        steps.extend(self.leftover_mark());
        steps.extend(self.left_root().map(|old| {
            let undo = Change::SetRoot(self.limited(), old);
            Step::change(Change::DeleteRoot(self.limited(), None), Some(undo))
        }));
        let strays = self.actual.sides.iter().flat_map(|side| &side.strays);
        let ifbs = self.left().filter_map(|side| side.slot.link.as_ref());
        let delete = |ifb: &Link| Step::change(Change::DeleteIfb(ifb.clone()), None);
        steps.extend(ifbs.chain(strays).map(delete));
        steps
    }

    /// The limits that [`Difference::leftovers`] removes: each with its device, its numbers where it has
    /// any, and the hook where its packets leave their usual path.
    pub fn old_limits(&self) -> Vec<(String, Option<Tbf>, Hook)> {
        let root = self
            .left_root()
            .map(|old| (self.link.name.clone(), Some(old), Hook::Egress));
        let sides = self.left().filter_map(|side| {
            let numbers = side.bucket.as_ref().and_then(|qdisc| qdisc.bucket);
            let numbers = numbers.map(|bucket| bucket.tbf);
            match (&side.slot.link, side.own().next()) {
                (Some(ifb), _) => Some((ifb.name.clone(), numbers, side.hook)),
                (None, Some(_)) => Some((self.link.name.clone(), None, side.hook)),
                (None, None) => None,
            }
        });
        root.into_iter().chain(sides).collect()
    }

    /// The devices of the plan without a bucket, or to which not all leads that is to be limited: each
    /// with its numbers and the hook where its packets leave their usual path.
    pub fn missing(&self) -> Vec<(String, Numbers, Hook)> {
        let has_bucket = |qdisc: Option<&Qdisc>| qdisc.is_some_and(|q| q.bucket.is_some());
        let root = self.plan.root;
        let root = root.filter(|_| !has_bucket(self.actual.root.as_ref()));
        let root = root.map(|numbers| (self.plan.link.clone(), numbers, Hook::Egress));
        let detours = self.plan.detours.iter().filter(|detour| {
            let side = self.actual.side(detour.hook);
            !has_bucket(side.bucket.as_ref())
                || self.actual.hook.is_none()
                || !self.filter_drifts(detour, side).is_empty()
        });
        let detours = detours.map(|d| (d.ifb.clone(), d.tbf, d.hook));
        root.into_iter().chain(detours).collect()
    }

    /// The hooks with what an older limit left behind them, if anything.
    fn left(&self) -> impl Iterator<Item = &HookState> {
        let is_left = |side: &&HookState| {
            self.plan.detour(side.hook).is_none() && !self.kept.contains(&side.slot.name)
        };
        self.actual.sides.iter().filter(is_left)
    }

    /// The ifb with its token bucket, marked and up.
    fn ifb(&self, detour: &Detour, side: &HookState) -> Vec<Step> {
        let name = &detour.ifb;
        let on = || On::Ifb(detour.hook, name.clone());
        let set = |new, old| {
            let undo = Change::Attribute(on(), old);
            Step::change(Change::Attribute(on(), new), Some(undo))
        };
        let up = || set(link::Change::Up(true), link::Change::Up(false));
        let bucket = self.bucket(&on(), &detour.tbf, side.bucket.as_ref());
        let Some(ifb) = &side.slot.link else {
            let later = bucket.into_iter().chain([up()]);
            let mut steps = self.new_ifb(detour, side);
            steps.extend(later.map(|step| Step {
                drift: None,
                ..step
            }));
            return steps;
        };
        let mut steps = Vec::new();
        match ifb.name == *name {
            true => steps.extend(self.alias(on(), ifb)),
            false => steps.push(self.name(detour, side)),
        }
        if ifb.mtu != detour.mtu {
            let drift = Drift::new(format!("mtu of {name}"), detour.mtu, ifb.mtu);
            let step = set(link::Change::Mtu(detour.mtu), link::Change::Mtu(ifb.mtu));
            steps.push(step.because_of(drift));
        }
        steps.extend(bucket);
        if !ifb.up {
            steps.push(up().because_of(Drift::new(format!("state of {name}"), "up", "down")));
        }
        steps
    }

    fn new_ifb(&self, detour: &Detour, side: &HookState) -> Vec<Step> {
        let found = match &side.slot.taken_by {
            Some(kind) => format!("a link of kind {kind} that is not this container's"),
            None => "none".into(),
        };
        let drift = Drift::new(&detour.ifb, "a link of kind ifb", found).of_missing("ifb");
        let first_name = || side.slot.first_name.clone();
        let create = Change::CreateIfb(detour.hook, first_name(), detour.mtu);
        let undo = Change::DropIfb(detour.hook, first_name());
        let create = Step::change(create, Some(undo)).because_of(drift);
        vec![create, self.name(detour, side)]
    }

    fn name(&self, detour: &Detour, side: &HookState) -> Step {
        let first_name = side.slot.first_name.clone();
        let undo = Change::DropIfb(detour.hook, first_name.clone());
        let change = Change::NameIfb {
            hook: detour.hook,
            name: detour.ifb.clone(),
            first_name,
            mark: self.mark.clone(),
        };
        Step::change(change, Some(undo))
    }

    /// The alias of an ifb. The reference's have none, which is not a drift.
    fn alias(&self, on: On, link: &Link) -> Option<Step> {
        let (old, new) = (
            link.alias.clone().unwrap_or_default(),
            self.mark.to_string(),
        );
        if old == new {
            return None;
        }
        let drift = match old.is_empty() || Mark::of(link).is_some() {
            true => None,
            false => Some(Drift::new(format!("alias of {on}"), "its owner", &old)),
        };
        let undo = Change::Alias(on.clone(), old);
        let step = Step::change(Change::Alias(on, new), Some(undo));
        Some(Step { drift, ..step })
    }

    /// Where no ifb says whose the limit is, the link does, unless it has another tool's alias.
    pub fn mark_of_link(&self) -> Option<Step> {
        let is_free = |alias: &str| alias.is_empty() || Mark::of(self.link).is_some();
        match self.is_link_marked() && self.link.alias.as_deref().is_none_or(is_free) {
            true => self.alias(self.limited(), self.link),
            false => None,
        }
    }

    fn is_link_marked(&self) -> bool {
        self.plan.root.is_some() && self.plan.detours.is_empty()
    }

    /// The mark that the link does not need any longer.
    fn leftover_mark(&self) -> Option<Step> {
        let is_own = Mark::of(self.link).is_some_and(|mark| mark.owner == self.mark.owner);
        let old = self.link.alias.clone()?;
        (self.is_whole && is_own && !self.is_link_marked()).then(|| {
            let undo = Change::Alias(self.limited(), old);
            Step::change(Change::Alias(self.limited(), String::new()), Some(undo))
        })
    }

    fn limited(&self) -> On {
        On::Limited(self.link.name.clone())
    }

    /// The link's token bucket, where an older limit left it: the mark of an ifb says that it is ours, or,
    /// where the plan is whole, its handle does, as for DEL.
    fn left_root(&self) -> Option<Tbf> {
        let root = self.actual.root.as_ref()?;
        let bucket = root.bucket.filter(|_| self.plan.root.is_none())?;
        let is_made_by = |side: &HookState| {
            let mark = side.slot.mark.as_ref();
            !self.kept.contains(&side.slot.name) && mark.is_some_and(|mark| mark.root_made)
        };
        let sides = &self.actual.sides;
        let is_left = match self.is_whole {
            true => {
                let neighbours = sides.iter().flat_map(|side| &side.neighbours);
                root.handle == BUCKET && !is_of_another(self.link, &self.mark.owner, neighbours)
            }
            false => sides.iter().any(is_made_by),
        };
        is_left.then_some(bucket.tbf)
    }
}

#[cfg(test)]
mod tests;
