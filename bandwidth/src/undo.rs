//! The changes of one ADD, and how to take them back.

use common::error::{Code, Error};
use common::log::Log;
use common::sys::link::Change;
use common::sys::netlink::{Netlink, Refusal};

use crate::tbf::Tbf;
use crate::tc::filter::{self, Rule};
use crate::tc::qdisc::{self, HookKind};
use crate::tc::{Handle, refused};

/// What takes one change back.
#[derive(Debug)]
pub enum Undo {
    /// Delete an ifb that was created.
    DeleteIfb(String),
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
    /// Add a filter that was deleted.
    AddFilter(Spot, Rule),
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

    /// Makes one change and remembers how to take it back. `needs` names what the kernel must have.
    ///
    /// # Errors
    /// Code 103 when the kernel has no such thing, else 100.
    pub fn make(
        &mut self,
        (tried, needs): (String, &str),
        undo: Option<Undo>,
        change: impl FnOnce(&mut Netlink) -> Result<(), Refusal>,
    ) -> Result<(), Error> {
        change(self.netlink).map_err(|refusal| refused(&refusal, tried, needs))?;
        self.made += 1;
        self.done.extend(undo);
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

    /// Takes everything back, the last change first. What fails is told along with `error`.
    pub fn undo(self, error: Error) -> Error {
        let Changes { netlink, done, .. } = self;
        done.into_iter().rev().fold(error, |error, undo| {
            let told = format!("undo: {undo:?}");
            match undo.run(netlink) {
                Ok(()) => error,
                Err(refusal) => error.and(Error::new(Code::System, told).with_details(refusal)),
            }
        })
    }
}

impl Undo {
    fn run(self, netlink: &mut Netlink) -> Result<(), Refusal> {
        match self {
            Undo::DeleteIfb(name) => match netlink.link_by_name(&name)? {
                Some(link) if link.kind == "ifb" => netlink.delete_link(link.index),
                _ => Ok(()),
            },
            Undo::Change(link, change) => netlink.change_link(link, change),
            Undo::Alias(link, alias) => netlink.set_alias(link, &alias),
            Undo::DeleteRoot(link) => qdisc::delete_root(netlink, link),
            Undo::SetRoot(link, tbf) => qdisc::set_root(netlink, link, tbf),
            Undo::DeleteHook(link) => qdisc::delete_hook(netlink, link),
            Undo::AddHook(link, kind) => qdisc::add_hook(netlink, link, kind),
            Undo::DeleteFilter(spot, rule) => delete_filter(netlink, spot, &rule),
            Undo::AddFilter(spot, rule) => {
                filter::add(netlink, spot.link, spot.parent, spot.place, &rule)
            }
        }
    }
}

/// Deletes the filter that stands at a spot and does this; its handle was the kernel's choice.
fn delete_filter(netlink: &mut Netlink, spot: Spot, rule: &Rule) -> Result<(), Refusal> {
    let Spot {
        link,
        parent,
        place,
    } = spot;
    let found = filter::list(netlink, link, parent)?
        .into_iter()
        .find(|f| (f.priority, f.protocol) == place && f.rule.as_ref() == Some(rule));
    match found {
        Some(found) => filter::delete(netlink, link, parent, filter::Deletion::of(&found)),
        None => Ok(()),
    }
}
