//! What ADD can change, and roll back.

use std::fmt;

use common::sys::link::{self, Link};
use common::sys::netlink::Refusal;

use crate::owner::Mark;
use crate::queue::FqCodel;
use crate::tbf::Tbf;
use crate::tc::filter::{Deletion, Rule};
use crate::tc::qdisc::HookKind;
use crate::tc::{Handle, Hook, is_lacking};

/// What the kernel must have for a change: kind and module.
const TBF: &str = "tbf (module sch_tbf)";
const FQ_CODEL: &str = "fq_codel (module sch_fq_codel); queue fifo needs none";
const IFB: &str = "ifb (module ifb)";
const HOOK: &str = "ingress or clsact qdisc (module sch_ingress)";
const FILTER: &str = "u32 filter or mirred action (modules cls_u32 and act_mirred)";

/// A step of this plugin.
pub type Step = common::Step<Change>;

/// The link that a change is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// The limited one, by name.
    Limited(String),
    /// The ifb behind one of its hooks. Its index may not be known yet.
    Ifb(Hook, String),
}

/// Where a filter of the limited link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The hook.
    pub hook: Hook,
    /// The hook as the parent of filters, which depends on the kind of the qdisc.
    pub parent: Handle,
    /// The filter's priority and its protocol, an `ETH_P_*` number.
    pub place: (u16, u16),
}

/// A change, or what takes one back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Create the ifb behind a hook, under the name that is this attachment's alone, with an MTU in
    /// bytes.
    CreateIfb(Hook, String, u32),
    /// Give a new ifb its name and its mark. Where the name is taken it keeps its first one.
    NameIfb {
        /// The hook that the ifb is behind.
        hook: Hook,
        /// The name.
        name: String,
        /// The name that it has.
        first_name: String,
        /// The mark.
        mark: Mark,
    },
    /// Delete the ifb behind a hook that was created under this name.
    DropIfb(Hook, String),
    /// Delete an ifb that is not needed any longer.
    DeleteIfb(Link),
    /// Set a link's alias.
    Alias(On, String),
    /// Set a link's attribute.
    Attribute(On, link::Change),
    /// Set a link's root qdisc, or its numbers.
    SetRoot(On, Tbf),
    /// Delete a link's root qdisc; with its description where it is not ours.
    DeleteRoot(On, Option<String>),
    /// Restore a link's root qdisc that is not ours, with its description: no list has all that it was.
    LostRoot(On, String),
    /// Make an `fq_codel` with these numbers the queue of a token bucket, or change the one of ours.
    SetQueue {
        /// The bucket's link.
        on: On,
        /// The numbers.
        queue: FqCodel,
        /// Whether the bucket's own queue will not do, where the kernel has no `fq_codel`.
        is_needed: bool,
    },
    /// Set a token bucket's numbers and give it its own queue in the place of another, with that one's
    /// description.
    OwnQueue(On, Tbf, String),
    /// Create the hook qdisc; with the kind of the one that stays in its way, if any.
    AddHook(HookKind, Option<String>),
    /// Delete the hook qdisc, unless another tool has come to use it.
    DeleteHook,
    /// Add a filter; a redirect to link 0 leads to the ifb behind the hook.
    AddFilter(Spot, Rule),
    /// Add those of the filters of a spot that are not there.
    AddFilters(Spot, Vec<Rule>),
    /// Delete the filter of a spot that does this.
    DeleteFilter(Spot, Rule),
    /// Delete filters.
    DeleteFilters(Spot, Deletion),
}

impl Change {
    /// What is tried, for errors.
    pub fn tried(&self, link: &str) -> String {
        match self {
            Change::CreateIfb(_, name, _) => format!("create {name}"),
            Change::NameIfb { name, .. } => format!("mark {name}"),
            Change::DropIfb(_, name) => format!("delete {name}"),
            Change::DeleteIfb(ifb) => format!("delete {}", ifb.name),
            Change::Alias(on, _) => format!("mark {on}"),
            Change::Attribute(on, link::Change::Mtu(mtu)) => format!("set mtu {mtu} on {on}"),
            Change::Attribute(on, link::Change::Up(true)) => format!("set {on} up"),
            Change::Attribute(on, change) => format!("set {change:?} on {on}"),
            Change::SetRoot(on, tbf) => format!("set the root qdisc of {on} to {tbf}"),
            Change::DeleteRoot(on, None) => format!("delete the root qdisc of {on}"),
            Change::DeleteRoot(on, Some(other)) => format!("delete the root qdisc {other} of {on}"),
            Change::LostRoot(on, other) => {
                format!("restore the root qdisc {other} of {on}, which the limit replaced")
            }
            Change::SetQueue { on, queue, .. } => format!("set the queue of {on} to {queue}"),
            Change::OwnQueue(on, _, other) => format!("delete qdisc {other} of {on}"),
            Change::AddHook(kind, None) => format!("add qdisc {} to {link}", kind.text()),
            Change::AddHook(kind, Some(other)) => {
                let kind = kind.text();
                format!(
                    "add qdisc {kind} to {link}, as subnets need it in this direction, where qdisc {other} has filters of another tool: remove those, or leave out the subnets"
                )
            }
            Change::DeleteHook => format!("delete the clsact or ingress qdisc of {link}"),
            Change::AddFilter(spot, _) | Change::AddFilters(spot, _) => {
                format!("add a filter from {link} {} to its ifb", spot.hook)
            }
            Change::DeleteFilter(spot, _) | Change::DeleteFilters(spot, _) => {
                format!("delete a filter of {link} {}", spot.hook)
            }
        }
    }

    /// What the kernel must have for it.
    pub fn needs(&self) -> &'static str {
        match self {
            Change::CreateIfb(..)
            | Change::NameIfb { .. }
            | Change::DropIfb(..)
            | Change::DeleteIfb(_)
            | Change::Alias(..)
            | Change::Attribute(..) => IFB,
            Change::SetRoot(..)
            | Change::DeleteRoot(..)
            | Change::LostRoot(..)
            | Change::OwnQueue(..) => TBF,
            Change::SetQueue { .. } => FQ_CODEL,
            Change::AddHook(..) | Change::DeleteHook => HOOK,
            Change::AddFilter(..)
            | Change::AddFilters(..)
            | Change::DeleteFilter(..)
            | Change::DeleteFilters(..) => FILTER,
        }
    }

    /// What an operator should know of it.
    pub fn warning(&self) -> Option<String> {
        match self {
            Change::DeleteRoot(on, Some(other)) => {
                Some(format!("{on}: root qdisc {other} is replaced by the limit"))
            }
            Change::OwnQueue(on, _, other) => Some(format!(
                "{on}: qdisc {other} is replaced by the queue of the limit"
            )),
            _ => None,
        }
    }

    /// Whether a refusal says no more than that the kernel lacks what is not needed.
    pub fn can_do_without(&self, refusal: &Refusal) -> bool {
        let is_dispensable = matches!(
            self,
            Change::SetQueue {
                is_needed: false,
                ..
            }
        );
        is_dispensable && is_lacking(refusal)
    }

    /// Whether it cannot be rolled back, and its failure harms nobody.
    pub fn is_optional(&self) -> bool {
        matches!(self, Change::DeleteIfb(_))
    }

    /// Whether it is about what says whose the other changes are.
    pub fn is_of_record(&self) -> bool {
        matches!(self, Change::DropIfb(..) | Change::Alias(..))
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::Limited(name) | On::Ifb(_, name) => f.write_str(name),
        }
    }
}
