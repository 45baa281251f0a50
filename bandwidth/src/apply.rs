//! ADD: makes the changes of a difference, all of them or none.

use common::error::{Code, Error};
use common::log::Log;
use common::sys::link::{self, Link};
use common::sys::netlink::{Netlink, Refusal};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo};
use nix::errno::Errno;

use crate::change::{Change, On, Spot, Step};
use crate::ifb;
use crate::observe::Actual;
use crate::owner::Mark;
use crate::plan::Plan;
use crate::tc::filter::{self, Filter, Rule, Verdict};
use crate::tc::qdisc::HookKind;
use crate::tc::{Hook, qdisc, refused};

/// What was done, and what is left for the end.
pub struct Done {
    /// Whether anything had to be.
    pub changed: bool,
    ifbs: [Option<Link>; 2],
    has_hook_come: bool,
    undos: Vec<Change>,
    /// What cannot be undone, and harms nobody until then.
    last: Vec<Change>,
}

impl Done {
    /// The ifbs of the plan.
    pub fn ifbs(&self) -> impl Iterator<Item = &Link> {
        self.ifbs.iter().flatten()
    }

    /// Makes the changes that cannot be undone. Gives why ifbs that are not needed any longer are still
    /// there.
    pub fn finish(self, netlink: &mut Netlink, link: &Link) -> Vec<Error> {
        let (mut kernel, _, last) = self.resume(netlink, link);
        let failed = |change: Change| {
            let refusal = kernel.make(&change).err()?;
            Some(refused(&refusal, change.tried(&link.name), change.needs()))
        };
        last.into_iter().filter_map(failed).collect()
    }

    /// Undoes what was done.
    ///
    /// # Errors
    /// Everything that could not be undone.
    pub fn undo(self, netlink: &mut Netlink, link: &Link) -> Result<(), Error> {
        let (kernel, undos, _) = self.resume(netlink, link);
        Error::all(kernel.undo(undos)).map_or(Ok(()), Err)
    }

    fn resume<'a>(
        self,
        netlink: &'a mut Netlink,
        link: &'a Link,
    ) -> (Kernel<'a>, Vec<Change>, Vec<Change>) {
        let Done {
            changed: _,
            ifbs,
            has_hook_come,
            undos,
            last,
        } = self;
        let kernel = Kernel {
            netlink,
            link,
            ifbs,
            has_hook_come,
        };
        (kernel, undos, last)
    }
}

/// Makes the changes of steps, in their order, except for those that cannot be undone.
///
/// # Errors
/// Code 100 or 103; nothing is changed then, or the error says what could not be rolled back.
pub fn apply(
    netlink: &mut Netlink,
    log: &Log,
    (link, plan, actual): (&Link, &Plan, &Actual),
    steps: Vec<Step>,
) -> Result<Done, Error> {
    let ifb = |hook| {
        plan.detour(hook)
            .and_then(|_| actual.side(hook).slot.link.clone())
    };
    let mut kernel = Kernel {
        netlink,
        link,
        ifbs: [ifb(Hook::Ingress), ifb(Hook::Egress)],
        has_hook_come: false,
    };
    let mut changed = false;
    let (mut undos, mut last) = (Vec::new(), Vec::new());
    for Step { change, undo, .. } in steps {
        let Some(change) = change else { continue };
        if let Some(warning) = change.warning() {
            log.warn(warning);
        }
        if change.is_optional() {
            last.push(change);
            continue;
        }
        let outcome = kernel.make(&change);
        // Where the kernel's answer did not come the change may be made.
        if !outcome.as_ref().is_err_and(|refusal| refusal.is_answer) {
            undos.extend(undo);
        }
        match outcome {
            Ok(()) => changed = true,
            Err(refusal) if change.can_do_without(&refusal) => {}
            Err(refusal) => {
                let error = refused(&refusal, change.tried(&link.name), change.needs());
                return Err(kernel.undo(undos).into_iter().fold(error, Error::and));
            }
        }
    }
    let Kernel {
        ifbs,
        has_hook_come,
        ..
    } = kernel;
    Ok(Done {
        changed: changed || !last.is_empty(),
        ifbs,
        has_hook_come,
        undos,
        last,
    })
}

/// The links of one attachment, and a socket in their namespace.
struct Kernel<'a> {
    netlink: &'a mut Netlink,
    link: &'a Link,
    /// The ifbs of the plan as far as they are there, the one behind the ingress hook first.
    ifbs: [Option<Link>; 2],
    /// Whether the hook qdisc came since it was looked at, and so is not known to be ours.
    has_hook_come: bool,
}

impl Kernel<'_> {
    /// Takes changes back, the last one first, and gives what fails. Where something of ours is left, the ifbs
    /// stay with their marks, by which DEL finds it.
    fn undo(mut self, undos: Vec<Change>) -> Vec<Error> {
        let mut failures = Vec::new();
        let mut is_ours_left = false;
        for undo in undos.into_iter().rev() {
            if undo.is_of_record() && is_ours_left {
                continue;
            }
            if let Err(refusal) = self.make(&undo) {
                is_ours_left |= !matches!(undo, Change::LostRoot(..));
                let tried = format!("undo: {}", undo.tried(&self.link.name));
                failures.push(Error::new(Code::System, tried).with_details(refusal));
            }
        }
        failures
    }

    fn ifb(&mut self, hook: Hook) -> &mut Option<Link> {
        let [ingress, egress] = &mut self.ifbs;
        match hook {
            Hook::Ingress => ingress,
            Hook::Egress => egress,
        }
    }

    fn index(&mut self, on: &On) -> Result<u32, Refusal> {
        match on {
            On::Limited(_) => Ok(self.link.index),
            On::Ifb(hook, _) => self.index_of_ifb(*hook),
        }
    }

    fn index_of_ifb(&mut self, hook: Hook) -> Result<u32, Refusal> {
        let ifb = self.ifb(hook).as_ref();
        ifb.map(|ifb| ifb.index).ok_or_else(|| Errno::ENODEV.into())
    }

    /// Makes one change. An undo may be about a change that was not made.
    fn make(&mut self, change: &Change) -> Result<(), Refusal> {
        let link = self.link.index;
        match change {
            Change::CreateIfb(hook, name, mtu) => self.create_ifb(*hook, name, *mtu),
            Change::NameIfb {
                hook,
                name,
                first_name,
                mark,
            } => self.name_ifb(*hook, (name, first_name), mark),
            Change::DropIfb(hook, name) => self.drop_ifb(*hook, name),
            Change::DeleteIfb(ifb) => self.netlink.delete_link(ifb.index),
            Change::Alias(on, alias) => {
                let index = self.index(on)?;
                self.netlink.set_alias(index, alias)
            }
            Change::Attribute(on, attribute) => self.set(on, *attribute),
            Change::SetRoot(on, tbf) => {
                let index = self.index(on)?;
                qdisc::set_root(self.netlink, index, *tbf)
            }
            Change::DeleteRoot(on, _) => {
                let index = self.index(on)?;
                qdisc::delete_root(self.netlink, index)
            }
            Change::LostRoot(..) => Err(Errno::EOPNOTSUPP.into()),
            Change::SetQueue { on, queue, .. } => {
                let index = self.index(on)?;
                qdisc::set_queue(self.netlink, index, *queue)
            }
            Change::OwnQueue(on, tbf, _) => {
                let index = self.index(on)?;
                qdisc::delete_queue(self.netlink, index)?;
                // It is deleted, whatever becomes of the rest.
                let is_answer = false;
                let set = qdisc::set_root(self.netlink, index, *tbf);
                set.map_err(|refusal| Refusal {
                    is_answer,
                    ..refusal
                })
            }
            Change::AddHook(kind, _) => self.add_hook(*kind),
            Change::DeleteHook => self.delete_hook(),
            Change::AddFilter(spot, rule) => {
                let rule = self.led(*spot, rule)?;
                filter::add(self.netlink, link, spot.parent, spot.place, &rule)
            }
            Change::AddFilters(spot, rules) => self.add_filters(*spot, rules),
            Change::DeleteFilter(spot, rule) => self.delete_filter(*spot, rule),
            Change::DeleteFilters(spot, deletion) => {
                filter::delete(self.netlink, link, spot.parent, *deletion)
            }
        }
    }

    fn create_ifb(&mut self, hook: Hook, name: &str, mtu: u32) -> Result<(), Refusal> {
        self.netlink.create_link(vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Mtu(mtu),
            // As the reference: nothing waits in the device, only in its token bucket.
            LinkAttribute::TxQueueLen(0),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)]),
        ])?;
        // It is created, whatever is said of this look.
        let looked = self.netlink.link_by_name(name);
        let is_answer = false;
        let found = looked.map_err(|refusal| Refusal {
            is_answer,
            ..refusal
        })?;
        *self.ifb(hook) = Some(found.ok_or(Errno::ENODEV)?);
        Ok(())
    }

    /// Names and marks an ifb in one step: nobody ever finds one without a mark under the name that the
    /// container's other interfaces would take too, and whoever comes second there keeps the name that
    /// it has.
    fn name_ifb(
        &mut self,
        hook: Hook,
        (name, first_name): (&str, &str),
        mark: &Mark,
    ) -> Result<(), Refusal> {
        let index = self.index_of_ifb(hook)?;
        let alias = mark.to_string();
        let mut name = name;
        match self.netlink.name_and_mark(index, name, &alias) {
            Err(refusal) if refusal.says(&[Errno::EEXIST]) && name != first_name => {
                // Not where the same ADD runs twice.
                let other = self.netlink.link_by_name(name)?;
                if other.is_some_and(|other| ifb::is_marked(&other, &mark.owner)) {
                    return Err(refusal);
                }
                name = first_name;
                self.netlink.name_and_mark(index, name, &alias)?;
            }
            done => done?,
        }
        if let Some(ifb) = self.ifb(hook) {
            name.clone_into(&mut ifb.name);
        }
        Ok(())
    }

    fn drop_ifb(&mut self, hook: Hook, name: &str) -> Result<(), Refusal> {
        if let Some(ifb) = self.ifb(hook) {
            let index = ifb.index;
            return self.netlink.delete_link(index);
        }
        match self.netlink.link_by_name(name)? {
            Some(link) if link.kind == "ifb" && link.alias.is_none() => {
                self.netlink.delete_link(link.index)
            }
            _ => Ok(()),
        }
    }

    fn set(&mut self, on: &On, attribute: link::Change) -> Result<(), Refusal> {
        let index = self.index(on)?;
        self.netlink.change_link(index, attribute)?;
        if let (On::Ifb(hook, _), link::Change::Mtu(mtu)) = (on, attribute)
            && let Some(ifb) = self.ifb(*hook)
        {
            ifb.mtu = mtu;
        }
        Ok(())
    }

    /// Adds the hook qdisc. One of that kind which came since it was looked at serves as well: another tool's,
    /// or that of the same ADD that runs twice. Nothing says which, so the marks stay, and DEL deletes it where
    /// nobody else has filters on it.
    fn add_hook(&mut self, kind: HookKind) -> Result<(), Refusal> {
        let link = self.link.index;
        let exists = match qdisc::add_hook(self.netlink, link, kind) {
            Err(refusal) if refusal.says(&[Errno::EEXIST]) => refusal,
            done => return done,
        };
        self.has_hook_come = true;
        match qdisc::hook(self.netlink, link)? {
            Some(hook) if hook.kind == kind.text() => Ok(()),
            _ => Err(exists),
        }
    }

    /// Deletes the hook qdisc, unless it came meanwhile or has filters.
    fn delete_hook(&mut self) -> Result<(), Refusal> {
        let link = self.link.index;
        if self.has_hook_come {
            return Ok(());
        }
        let Some(hook) = qdisc::hook(self.netlink, link)? else {
            return Ok(());
        };
        let filters = filter::of_hooks(self.netlink, link, &hook.kind)?;
        match filters.iter().all(|(_, filter)| filter.is_table()) {
            true => qdisc::delete_hook(self.netlink, link),
            false => Ok(()),
        }
    }

    /// A planned rule with the ifb that is there by now.
    fn led(&mut self, spot: Spot, rule: &Rule) -> Result<Rule, Refusal> {
        let mut rule = rule.clone();
        if rule.verdict == Verdict::Redirect(0) {
            rule.verdict = Verdict::Redirect(self.index_of_ifb(spot.hook)?);
        }
        Ok(rule)
    }

    fn add_filters(&mut self, spot: Spot, rules: &[Rule]) -> Result<(), Refusal> {
        let mut there: Vec<Rule> = self.at(spot)?.filter_map(|f| f.rule).collect();
        for rule in rules {
            match there.iter().position(|found| found == rule) {
                Some(place) => drop(there.swap_remove(place)),
                None => {
                    filter::add(self.netlink, self.link.index, spot.parent, spot.place, rule)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes the filter that does this; its handle was the kernel's choice.
    fn delete_filter(&mut self, spot: Spot, rule: &Rule) -> Result<(), Refusal> {
        let rule = self.led(spot, rule)?;
        let found = self.at(spot)?.find(|f| f.rule.as_ref() == Some(&rule));
        let deletion = found.map(|found| filter::Deletion::of(&found));
        deletion.map_or(Ok(()), |deletion| {
            filter::delete(self.netlink, self.link.index, spot.parent, deletion)
        })
    }

    fn at(&mut self, spot: Spot) -> Result<impl Iterator<Item = Filter> + use<>, Refusal> {
        let filters = filter::list(self.netlink, self.link.index, spot.parent)?;
        let is_at = move |f: &Filter| (f.priority, f.protocol) == spot.place;
        Ok(filters.into_iter().filter(is_at))
    }
}
