//! ADD: makes the kernel hold the plan, changing only what differs, all or nothing.

use common::error::{Code, Context, Error};
use common::sys::link::{Change, Link};
use common::warn::warn;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo};

use crate::observe::{Actual, HookState};
use crate::owner::Mark;
use crate::plan::{Detour, Hook, Plan};
use crate::tbf::Tbf;
use crate::tc::filter::{self, Filter, Rule, Verdict};
use crate::tc::qdisc::{self, HookKind, Qdisc};
use crate::tc::{BUCKET, handle_text};
use crate::undo::{Changes, Spot, Undo};

const TBF: &str = "tbf (module sch_tbf)";
const IFB: &str = "ifb (module ifb)";
const HOOK: &str = "ingress or clsact qdisc (module sch_ingress)";
const FILTER: &str = "u32 filter or mirred action (modules cls_u32 and act_mirred)";

/// Priorities that the filters of one hook take: one for each of IPv4, IPv6 and everything.
pub const PRIORITIES: u16 = 3;

/// What ADD is to do, decided.
pub struct Job<'a> {
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
    /// Ifbs that an earlier plugin of the same chain made: not leftovers, though not planned.
    pub kept: &'a [String],
}

impl Job<'_> {
    /// Does it, in an order that limits nothing before everything is ready.
    ///
    /// # Errors
    /// Code 100 or 103; nothing is changed then.
    pub fn run(&self, mut changes: Changes<'_>) -> Result<Vec<Link>, Error> {
        match self.steps(&mut changes) {
            Ok(ifbs) => Ok(ifbs),
            Err(error) => Err(changes.undo(error)),
        }
    }

    fn steps(&self, changes: &mut Changes<'_>) -> Result<Vec<Link>, Error> {
        let mut ifbs = Vec::new();
        for side in &self.actual.sides {
            if let Some(detour) = self.plan.detour(side.hook) {
                ifbs.push(self.ifb(changes, detour, side)?);
            }
        }
        self.hook(changes)?;
        for (detour, ifb) in self.plan.detours.iter().zip(&ifbs) {
            if let Some(side) = self.actual.sides.iter().find(|s| s.hook == detour.hook) {
                self.filters(changes, detour, side, ifb.index)?;
            }
        }
        for side in &self.actual.sides {
            if self.plan.detour(side.hook).is_none() {
                self.leftover(changes, side)?;
            }
        }
        self.leftover_hook(changes)?;
        self.root(changes)?;
        // What cannot be undone comes last, and its failure harms nobody.
        self.delete_leftover_ifbs(changes);
        Ok(ifbs)
    }

    /// The ifb with its token bucket, marked and up.
    fn ifb(
        &self,
        changes: &mut Changes<'_>,
        detour: &Detour,
        side: &HookState,
    ) -> Result<Link, Error> {
        let name = &detour.ifb;
        let ifb = match &side.slot.link {
            Some(ifb) => ifb.clone(),
            None => create(changes, name, detour.mtu)?,
        };
        let index = ifb.index;
        let mark = self.mark.to_string();
        let alias = ifb.alias.clone().unwrap_or_default();
        if alias != mark {
            let tried = format!("mark {name}");
            changes.make((tried, IFB), Some(Undo::Alias(index, alias)), |netlink| {
                netlink.set_alias(index, &mark)
            })?;
        }
        if ifb.mtu != detour.mtu {
            let undo = Undo::Change(index, Change::Mtu(ifb.mtu));
            let tried = format!("set mtu {} on {name}", detour.mtu);
            changes.make((tried, IFB), Some(undo), |netlink| {
                netlink.change_link(index, Change::Mtu(detour.mtu))
            })?;
        }
        bucket(
            changes,
            (index, name),
            side.bucket.as_ref(),
            detour.tbf.ours,
        )?;
        if !ifb.up {
            let undo = Undo::Change(index, Change::Up(false));
            let tried = format!("set {name} up");
            changes.make((tried, IFB), Some(undo), |netlink| {
                netlink.change_link(index, Change::Up(true))
            })?;
        }
        Ok(ifb)
    }

    /// The ingress or clsact qdisc that the plan's filters need.
    fn hook(&self, changes: &mut Changes<'_>) -> Result<(), Error> {
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
                .with_details(format!("there is {kind} with filters of somebody else")));
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
    fn filters(
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
        for (place, rule) in wanted {
            let spot = self.spot(side.hook, self.kind().text(), place);
            let tried = format!(
                "add a filter from {} {} to {}",
                self.link.name, side.hook, detour.ifb
            );
            let undo = Undo::DeleteFilter(spot, rule.clone());
            changes.make((tried, FILTER), Some(undo), |netlink| {
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
            let tried = format!("delete a filter of {} {}", self.link.name, side.hook);
            changes.make((tried, FILTER), None, |netlink| {
                filter::delete(netlink, spot.link, spot.parent, deletion)
            })?;
            // A way to a link that is gone is nothing to go back to.
            let rules = own.iter().filter(|own| deletion.takes(own));
            let rules = rules.filter_map(|own| own.rule.as_ref());
            let rules = rules.filter(|rule| rule.verdict.target() != Some(0));
            // The last one taken back is the first one that was there.
            for rule in rules.rev() {
                changes.remember(Undo::AddFilter(spot, rule.clone()));
            }
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
    fn leftover(&self, changes: &mut Changes<'_>, side: &HookState) -> Result<(), Error> {
        if self.is_kept(side) || (side.hook == Hook::Ingress && self.is_ingress_replaced()) {
            return Ok(());
        }
        self.delete_filters(changes, side)
    }

    /// The hook qdisc that an older limit left, if nobody else uses it.
    fn leftover_hook(&self, changes: &mut Changes<'_>) -> Result<(), Error> {
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

    fn is_kept(&self, side: &HookState) -> bool {
        self.kept.contains(&side.slot.name)
    }

    /// The link's own token bucket; one that an older limit left is removed, when the mark of an ifb
    /// says that it is ours.
    fn root(&self, changes: &mut Changes<'_>) -> Result<(), Error> {
        let (index, name) = (self.link.index, &self.link.name);
        if let Some(numbers) = &self.plan.root {
            return bucket(
                changes,
                (index, name),
                self.actual.root.as_ref(),
                numbers.ours,
            );
        }
        let is_left = self.actual.sides.iter().any(|side| {
            !self.is_kept(side) && side.slot.mark.as_ref().is_some_and(|mark| mark.root_made)
        });
        match self.actual.root.as_ref().and_then(|root| root.bucket) {
            Some(old) if is_left => {
                let tried = format!("delete the root qdisc of {name}");
                changes.make(
                    (tried, TBF),
                    Some(Undo::SetRoot(index, old.tbf)),
                    |netlink| qdisc::delete_root(netlink, index),
                )
            }
            _ => Ok(()),
        }
    }

    fn delete_leftover_ifbs(&self, changes: &mut Changes<'_>) {
        for side in &self.actual.sides {
            let is_planned = self.plan.detour(side.hook).is_some();
            if let Some(ifb) = side
                .slot
                .link
                .as_ref()
                .filter(|_| !is_planned && !self.is_kept(side))
                && let Err(refusal) = changes.netlink.delete_link(ifb.index)
            {
                warn(
                    "bandwidth",
                    format!("cannot delete {}: {refusal}", ifb.name),
                );
            }
        }
    }
}

fn create(changes: &mut Changes<'_>, name: &str, mtu: u32) -> Result<Link, Error> {
    let tried = || format!("create {name}");
    let attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Mtu(mtu),
        // As the reference: nothing waits in the device, only in its token bucket.
        LinkAttribute::TxQueueLen(0),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)]),
    ];
    let undo = Undo::DeleteIfb(name.to_owned());
    changes.make((tried(), IFB), Some(undo), |netlink| {
        netlink.create_link(attributes)
    })?;
    changes
        .netlink
        .link_by_name(name)
        .context(Code::System, tried)?
        .ok_or_else(|| Error::new(Code::System, tried()).with_details("it is gone again"))
}

/// Makes a token bucket the root qdisc of a link. One that has our handle is changed in place, which
/// keeps its queue.
fn bucket(
    changes: &mut Changes<'_>,
    (link, name): (u32, &str),
    actual: Option<&Qdisc>,
    wanted: Tbf,
) -> Result<(), Error> {
    let mut undo = Undo::DeleteRoot(link);
    match actual {
        None => {}
        Some(Qdisc {
            kind: _,
            handle: BUCKET,
            bucket: Some(bucket),
        }) => {
            if bucket.tbf == wanted && bucket.peak == 0 {
                return Ok(());
            }
            undo = Undo::SetRoot(link, bucket.tbf);
        }
        Some(other) => {
            let handle = handle_text(other.handle);
            warn(
                "bandwidth",
                format!(
                    "{name}: root qdisc {} {handle} gives way to the limit",
                    other.kind
                ),
            );
            let tried = format!("delete the root qdisc {} {handle} of {name}", other.kind);
            changes.make((tried, TBF), None, |netlink| {
                qdisc::delete_root(netlink, link)
            })?;
        }
    }
    let tried = format!("set the root qdisc of {name} to {wanted}");
    changes.make((tried, TBF), Some(undo), |netlink| {
        qdisc::set_root(netlink, link, wanted)
    })
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
