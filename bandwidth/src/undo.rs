//! The changes of one ADD, and how to take them back.

use common::error::{Code, Error};
use common::log::Log;
use common::sys::link::Change;
use common::sys::netlink::{Netlink, Refusal};
use nix::errno::Errno;

use crate::tbf::Tbf;
use crate::tc::filter::{self, Filter, Rule};
use crate::tc::qdisc::{self, HookKind};
use crate::tc::{Handle, refused};

/// What takes one change back.
#[derive(Debug)]
pub enum Undo {
    /// Delete an ifb that was created, and has no mark yet.
    DeleteIfb(String),
    /// Delete an ifb that was created.
    DeleteLink(u32),
    /// Give a link its attribute back.
    Change(u32, Change),
    /// Give a link its alias back.
    Alias(u32, String),
    /// Delete a root qdisc that was created.
    DeleteRoot(u32),
    /// Give a root qdisc its numbers back.
    SetRoot(u32, Tbf),
    /// Delete a hook qdisc that was created.
    DeleteHook(u32),
    /// Create a hook qdisc that was deleted.
    AddHook(u32, HookKind),
    /// Delete a filter that was added.
    DeleteFilter(Spot, Rule),
    /// Delete every filter of a spot where there was none.
    DeleteFilters(Spot),
    /// Add the filters that were deleted from a spot.
    AddFilters(Spot, Vec<Rule>),
}

/// Where a filter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The link's index.
    pub link: u32,
    /// The hook.
    pub parent: Handle,
    /// Its priority and its protocol, an `ETH_P_*` number.
    pub place: (u16, u16),
}

/// A socket that remembers what was changed through it.
#[derive(Debug)]
pub struct Changes<'a> {
    /// The socket, in the namespace of all links concerned.
    pub netlink: &'a mut Netlink,
    /// The request's log.
    pub log: &'a Log,
    made: usize,
    done: Vec<Undo>,
}

impl<'a> Changes<'a> {
    /// No change yet.
    pub fn new(netlink: &'a mut Netlink, log: &'a Log) -> Changes<'a> {
        Changes {
            netlink,
            log,
            made: 0,
            done: Vec::new(),
        }
    }

    /// Makes one change and remembers how to take it back, also where the kernel's answer did not come
    /// and the change may be done. `needs` names what the kernel must have.
    ///
    /// # Errors
    /// Code 103 when the kernel has no such thing, else 100.
    pub fn make(
        &mut self,
        (tried, needs): (String, &str),
        undo: Option<Undo>,
        change: impl FnOnce(&mut Netlink) -> Result<(), Refusal>,
    ) -> Result<(), Error> {
        let outcome = change(self.netlink);
        if !outcome.as_ref().is_err_and(|refusal| refusal.is_answer) {
            self.done.extend(undo);
        }
        outcome.map_err(|refusal| refused(&refusal, tried, needs))?;
        self.made += 1;
        Ok(())
    }

    /// Whether anything was changed.
    pub fn is_any(&self) -> bool {
        self.made > 0
    }

    /// Remembers one more thing to take back for the change just made.
    pub fn remember(&mut self, undo: Undo) {
        self.done.push(undo);
    }

    /// Takes everything back, the last change first. What fails is told along with `error`; then the
    /// ifbs stay with their marks, by which DEL finds the rest.
    pub fn undo(self, error: Error) -> Error {
        let Changes { netlink, done, .. } = self;
        let mut failures = Vec::new();
        for undo in done.into_iter().rev() {
            if undo.is_of_record() && !failures.is_empty() {
                continue;
            }
            let told = format!("undo: {undo:?}");
            if let Err(refusal) = undo.run(netlink) {
                failures.push(Error::new(Code::System, told).with_details(refusal));
            }
        }
        failures.into_iter().fold(error, Error::and)
    }
}

impl Undo {
    /// Whether it takes back what says whose the other changes are.
    fn is_of_record(&self) -> bool {
        matches!(
            self,
            Undo::DeleteIfb(_) | Undo::DeleteLink(_) | Undo::Alias(..)
        )
    }

    /// Takes the change back. It may not have been made.
    fn run(self, netlink: &mut Netlink) -> Result<(), Refusal> {
        match self {
            Undo::DeleteIfb(name) => match netlink.link_by_name(&name)? {
                Some(link) if link.kind == "ifb" && link.alias.is_none() => {
                    netlink.delete_link(link.index)
                }
                _ => Ok(()),
            },
            Undo::DeleteLink(index) => netlink.delete_link(index),
            Undo::Change(link, change) => netlink.change_link(link, change),
            Undo::Alias(link, alias) => netlink.set_alias(link, &alias),
            Undo::DeleteRoot(link) => qdisc::delete_root(netlink, link),
            Undo::SetRoot(link, tbf) => qdisc::set_root(netlink, link, tbf),
            Undo::DeleteHook(link) => delete_hook(netlink, link),
            Undo::AddHook(link, kind) => match qdisc::add_hook(netlink, link, kind) {
                Err(refusal) if refusal.says(&[Errno::EEXIST]) => Ok(()),
                done => done,
            },
            Undo::DeleteFilter(spot, rule) => delete_filter(netlink, spot, &rule),
            Undo::DeleteFilters(spot) => {
                let all = filter::Deletion::of_place(spot.place);
                filter::delete(netlink, spot.link, spot.parent, all)
            }
            Undo::AddFilters(spot, rules) => add_filters(netlink, spot, rules),
        }
    }
}

/// Deletes a hook qdisc, unless somebody else has come to use it.
fn delete_hook(netlink: &mut Netlink, link: u32) -> Result<(), Refusal> {
    let Some(hook) = qdisc::hook(netlink, link)? else {
        return Ok(());
    };
    match filter::of_hooks(netlink, link, &hook.kind)?.is_empty() {
        true => qdisc::delete_hook(netlink, link),
        false => Ok(()),
    }
}

/// Adds those of the filters that are not there.
fn add_filters(netlink: &mut Netlink, spot: Spot, rules: Vec<Rule>) -> Result<(), Refusal> {
    let mut there: Vec<Rule> = at(netlink, spot)?.filter_map(|f| f.rule).collect();
    for rule in rules {
        match there.iter().position(|found| *found == rule) {
            Some(place) => drop(there.swap_remove(place)),
            None => filter::add(netlink, spot.link, spot.parent, spot.place, &rule)?,
        }
    }
    Ok(())
}

fn at(netlink: &mut Netlink, spot: Spot) -> Result<impl Iterator<Item = Filter>, Refusal> {
    let filters = filter::list(netlink, spot.link, spot.parent)?;
    Ok(filters
        .into_iter()
        .filter(move |f| (f.priority, f.protocol) == spot.place))
}

/// Deletes the filter that stands at a spot and does this; its handle was the kernel's choice.
fn delete_filter(netlink: &mut Netlink, spot: Spot, rule: &Rule) -> Result<(), Refusal> {
    let found = at(netlink, spot)?.find(|f| f.rule.as_ref() == Some(rule));
    match found {
        Some(found) => {
            let deletion = filter::Deletion::of(&found);
            filter::delete(netlink, spot.link, spot.parent, deletion)
        }
        None => Ok(()),
    }
}
