//! ADD: makes the kernel hold the plan, changing only what differs, all or nothing.

mod hooks;

pub use hooks::PRIORITIES;

use common::error::{Code, Context, Error};
use common::sys::link::{Change, Link};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo};
use nix::errno::Errno;

use crate::ifb::{self, Slot};
use crate::observe::{Actual, HookState};
use crate::owner::Mark;
use crate::plan::{Detour, Plan};
use crate::tbf::Tbf;
use crate::tc::qdisc::{self, Bucket, Count, Qdisc};
use crate::tc::{BUCKET, handle_text};
use crate::undo::{Changes, Undo};

const TBF: &str = "tbf (module sch_tbf)";
const IFB: &str = "ifb (module ifb)";

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

/// What was done.
pub struct Done {
    /// The ifbs of the plan.
    pub ifbs: Vec<Link>,
    /// Whether anything had to be.
    pub changed: bool,
}

impl Job<'_> {
    /// Does it, in an order that limits nothing before everything is ready.
    ///
    /// # Errors
    /// Code 100 or 103; nothing is changed then.
    pub fn run(&self, mut changes: Changes<'_>) -> Result<Done, Error> {
        match self.steps(&mut changes) {
            Ok(ifbs) => Ok(Done {
                ifbs,
                changed: changes.is_any(),
            }),
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
        let mut ifb = match &side.slot.link {
            Some(ifb) if ifb.name == detour.ifb => ifb.clone(),
            _ => self.new_ifb(changes, detour, &side.slot)?,
        };
        let (index, name) = (ifb.index, &ifb.name);
        let mark = self.mark.to_string();
        let alias = ifb.alias.clone().unwrap_or_default();
        if alias != mark {
            let undo = Undo::Alias(index, alias);
            changes.make((format!("mark {name}"), IFB), Some(undo), |netlink| {
                netlink.set_alias(index, &mark)
            })?;
        }
        if ifb.mtu != detour.mtu {
            let undo = Undo::Change(index, Change::Mtu(ifb.mtu));
            let tried = format!("set mtu {} on {name}", detour.mtu);
            changes.make((tried, IFB), Some(undo), |netlink| {
                netlink.change_link(index, Change::Mtu(detour.mtu))
            })?;
            ifb.mtu = detour.mtu;
        }
        let name = &ifb.name;
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

    /// A new ifb with its mark. It is made under the attachment's own name: nobody ever finds one without
    /// a mark under the name that the container's other interfaces would take too, and whoever comes
    /// second there keeps the name that it has.
    fn new_ifb(
        &self,
        changes: &mut Changes<'_>,
        detour: &Detour,
        slot: &Slot,
    ) -> Result<Link, Error> {
        let first_name = &slot.first_name;
        let mut ifb = match &slot.link {
            Some(left) => left.clone(),
            None => create(changes, first_name, detour.mtu)?,
        };
        changes.remember(Undo::DeleteLink(ifb.index));
        let mark = self.mark.to_string();
        let mut name = &detour.ifb;
        changes.make((format!("mark {name}"), IFB), None, |netlink| {
            match netlink.name_and_mark(ifb.index, name, &mark) {
                Err(refusal) if refusal.says(&[Errno::EEXIST]) && name != first_name => {
                    // Not where the same ADD runs twice.
                    let other = netlink.link_by_name(name)?;
                    if other.is_some_and(|other| ifb::is_marked(&other, &self.mark.owner)) {
                        return Err(refusal);
                    }
                    name = first_name;
                    netlink.name_and_mark(ifb.index, name, &mark)
                }
                done => done,
            }
        })?;
        ifb.name.clone_from(name);
        ifb.alias = Some(mark);
        Ok(ifb)
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
            let ifb = side.slot.link.as_ref();
            let left = ifb.filter(|_| !is_planned && !self.is_kept(side));
            for ifb in left.into_iter().chain(&side.strays) {
                let tried = format!("delete {}", ifb.name);
                let deleted =
                    changes.make((tried, IFB), None, |netlink| netlink.delete_link(ifb.index));
                if let Err(error) = deleted {
                    changes.log.warn(error);
                }
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
        .ok_or_else(|| Error::new(Code::System, tried()).with_details("it has disappeared again"))
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
            stranger,
        }) => {
            let as_wanted = Bucket {
                tbf: wanted,
                peak: 0,
                count: Count::default(),
            };
            if *bucket == as_wanted && stranger.is_none() {
                return Ok(());
            }
            if let Some(stranger) = stranger {
                changes.log.warn(format!(
                    "{name}: qdisc {stranger} is replaced by the queue of the limit"
                ));
                let tried = format!("delete qdisc {stranger} of {name}");
                changes.make((tried, TBF), None, |netlink| {
                    qdisc::delete_stranger(netlink, link)
                })?;
            }
            undo = Undo::SetRoot(link, bucket.tbf);
        }
        Some(other) => {
            let handle = handle_text(other.handle);
            changes.log.warn(format!(
                "{name}: root qdisc {} {handle} is replaced by the limit",
                other.kind
            ));
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
