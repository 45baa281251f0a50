//! The hook qdisc of the link, and the filters on it.

use common::error::{Code, Error};

use super::Job;
use crate::observe::HookState;
use crate::plan::{Detour, Hook};
use crate::tc::filter::{self, Filter, Rule, Verdict};
use crate::tc::qdisc::{self, HookKind};
use crate::undo::{Changes, Spot, Undo};

const HOOK: &str = "ingress or clsact qdisc (module sch_ingress)";
const FILTER: &str = "u32 filter or mirred action (modules cls_u32 and act_mirred)";

/// Priorities that the filters of one hook take: one for each of IPv4, IPv6 and everything.
pub const PRIORITIES: u16 = 3;

impl Job<'_> {
    /// The ingress or clsact qdisc that the plan's filters need.
    pub(super) fn hook(&self, changes: &mut Changes<'_>) -> Result<(), Error> {
        let (link, name) = (self.link.index, &self.link.name);
        if self.plan.detours.is_empty() {
            return Ok(());
        }
        let needed = self.kind();
        match self.actual.hook.as_ref().map(|hook| hook.kind.as_str()) {
            None => {}
            Some(kind) if kind == needed.text() => return Ok(()),
            Some(kind) if self.actual.has_others() => {
                return Err(Error::new(
                    Code::System,
                    format!("add qdisc clsact to {name}, which subnets need in this direction"),
                )
                .with_details(format!("there is {kind} with filters of another tool")));
            }
            Some(_) => self.delete_ingress(changes)?,
        }
        let tried = format!("add qdisc {} to {name}", needed.text());
        changes.make((tried, HOOK), Some(Undo::DeleteHook(link)), |netlink| {
            qdisc::add_hook(netlink, link, needed)
        })
    }

    /// The hook qdisc that is to be there: clsact if that is there, or if packets that go out are to
    /// make a detour.
    fn kind(&self) -> HookKind {
        let is_clsact = self
            .actual
            .hook
            .as_ref()
            .is_some_and(|hook| hook.kind == "clsact");
        match is_clsact || self.plan.detour(Hook::Egress).is_some() {
            true => HookKind::Clsact,
            false => HookKind::Ingress,
        }
    }

    /// Makes way for clsact where only filters of ours stand on an ingress qdisc.
    fn delete_ingress(&self, changes: &mut Changes<'_>) -> Result<(), Error> {
        let (link, name) = (self.link.index, &self.link.name);
        if let Some(side) = self.actual.sides.iter().find(|s| s.hook == Hook::Ingress) {
            self.delete_filters(changes, side)?;
        }
        let undo = Undo::AddHook(link, HookKind::Ingress);
        let tried = format!("delete qdisc ingress of {name}");
        changes.make((tried, HOOK), Some(undo), |netlink| {
            qdisc::delete_hook(netlink, link)
        })
    }

    /// The filters that lead to an ifb.
    pub(super) fn filters(
        &self,
        changes: &mut Changes<'_>,
        detour: &Detour,
        side: &HookState,
        ifb: u32,
    ) -> Result<(), Error> {
        // u32 lists the filters of both hooks of a clsact under each, where priorities are equal
        // (`u32_walk` in net/sched/cls_u32.c).
        let first = match side.hook {
            Hook::Ingress => self.priority,
            Hook::Egress => self.priority.saturating_add(PRIORITIES),
        };
        let wanted = placed(detour, first, ifb);
        let own: Vec<((u16, u16), &Rule)> = side
            .own()
            .filter_map(|f| Some(((f.priority, f.protocol), f.rule.as_ref()?)))
            .collect();
        let is_there = own.len() == wanted.len()
            && own
                .iter()
                .zip(&wanted)
                .all(|(own, (place, rule))| *own == (*place, rule));
        let is_swept = side.hook == Hook::Ingress && self.is_ingress_replaced();
        if is_there && !is_swept {
            return Ok(());
        }
        if !is_swept {
            self.delete_filters(changes, side)?;
        }
        let mut last = None;
        for (place, rule) in wanted {
            let spot = self.spot(side.hook, self.kind().text(), place);
            let tried = format!(
                "add a filter from {} {} to {}",
                self.link.name, side.hook, detour.ifb
            );
            let is_shared = side.others().any(|f| (f.priority, f.protocol) == place);
            let undo = match is_shared {
                true => Some(Undo::DeleteFilter(spot, rule.clone())),
                false => (last != Some(place)).then_some(Undo::DeleteFilters(spot)),
            };
            last = Some(place);
            changes.make((tried, FILTER), undo, |netlink| {
                filter::add(netlink, spot.link, spot.parent, spot.place, &rule)
            })?;
        }
        Ok(())
    }

    /// Whether [`Job::hook`] has put clsact in the place of an ingress qdisc.
    fn is_ingress_replaced(&self) -> bool {
        self.plan.detour(Hook::Egress).is_some()
            && self
                .actual
                .hook
                .as_ref()
                .is_some_and(|hook| hook.kind != "clsact")
    }

    fn delete_filters(&self, changes: &mut Changes<'_>, side: &HookState) -> Result<(), Error> {
        let kind = self.actual.hook.as_ref().map_or("", |hook| &hook.kind);
        let own: Vec<&Filter> = side.own().collect();
        let others: Vec<&Filter> = side.others().collect();
        for deletion in filter::deletions(&own, &others) {
            let spot = self.spot(side.hook, kind, deletion.place);
            // A way to a link that is gone, or what we never make, is nothing to go back to.
            let rules = own.iter().filter(|own| deletion.takes(own));
            let rules = rules.filter_map(|own| own.rule.clone());
            let rules = rules.filter(|rule| rule.verdict.is_planned()).collect();
            let tried = format!("delete a filter of {} {}", self.link.name, side.hook);
            let undo = Some(Undo::AddFilters(spot, rules));
            changes.make((tried, FILTER), undo, |netlink| {
                filter::delete(netlink, spot.link, spot.parent, deletion)
            })?;
        }
        Ok(())
    }

    /// A place on the hook qdisc that stands before [`Job::hook`] or after it.
    fn spot(&self, hook: Hook, kind: &str, place: (u16, u16)) -> Spot {
        Spot {
            link: self.link.index,
            parent: hook.parent(kind),
            place,
        }
    }

    /// Filters to an ifb that an older limit left.
    pub(super) fn leftover(
        &self,
        changes: &mut Changes<'_>,
        side: &HookState,
    ) -> Result<(), Error> {
        if self.is_kept(side) || (side.hook == Hook::Ingress && self.is_ingress_replaced()) {
            return Ok(());
        }
        self.delete_filters(changes, side)
    }

    /// The hook qdisc that an older limit left, if nobody else uses it.
    pub(super) fn leftover_hook(&self, changes: &mut Changes<'_>) -> Result<(), Error> {
        let is_left = self.plan.detours.is_empty()
            && !self.actual.has_others()
            && self.actual.sides.iter().any(|side| {
                !self.is_kept(side) && side.slot.mark.as_ref().is_some_and(|mark| mark.hook_made)
            });
        let Some(hook) = self.actual.hook.as_ref().filter(|_| is_left) else {
            return Ok(());
        };
        let (link, name) = (self.link.index, &self.link.name);
        let kind = match hook.kind.as_str() {
            "clsact" => HookKind::Clsact,
            _ => HookKind::Ingress,
        };
        let tried = format!("delete qdisc {} of {name}", hook.kind);
        changes.make((tried, HOOK), Some(Undo::AddHook(link, kind)), |netlink| {
            qdisc::delete_hook(netlink, link)
        })
    }
}

/// The planned filters with their places: each protocol has a priority of its own, as the kernel
/// wants it.
fn placed(detour: &Detour, first: u16, ifb: u32) -> Vec<((u16, u16), Rule)> {
    let mut priority = first;
    let mut last = detour.filters.first().map(|filter| filter.protocol);
    let mut placed = Vec::with_capacity(detour.filters.len());
    for filter in &detour.filters {
        if last != Some(filter.protocol) {
            last = Some(filter.protocol);
            priority = priority.saturating_add(1);
        }
        let mut rule = filter.rule.clone();
        if matches!(rule.verdict, Verdict::Redirect(_)) {
            rule.verdict = Verdict::Redirect(ifb);
        }
        placed.push(((priority, filter.protocol), rule));
    }
    placed
}
