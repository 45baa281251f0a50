//! The nftables backend: one table per family, changed over netlink without the `nft` program.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`observe`], [`diff`], [`apply`], [`remove`], [`list`](mod@list), [`status`] | the steps of every backend |
//! | [`layout`], [`set`] | the table: its chains and rules, its sets |
//! | [`wanted`], [`private`] | what one attachment wants: claims on host ports, or with conditions a chain |
//! | [`queue`], [`elements`] | all claims on a host port, and the elements that they become |
//! | [`range`] | adjacent host ports in one element |
//! | [`scope`] | limits of the addresses that ports are mapped on |
//! | [`owner`] | whose an element or rule is, in its comment |
//! | [`shared`], [`claim`] | both compared with what is there: what differs, and what makes up for it |
//! | [`conditions`] | the conditions of an attachment, compiled by `nft` and judged |
//! | [`conditional`] | the rules of an attachment with conditions |
//! | [`reference`](mod@reference) | what the reference's nftables backend left |
//! | [`probe`] | what the kernel lacks |
//! | [`undo`] | taking an ADD back |
//! | [`removal`], [`translation`] | what is to go, and what it led to |
//!
//! The layout as nft prints it is in docs/nftables.md.

mod apply;
mod claim;
mod conditional;
mod conditions;
mod diff;
mod elements;
#[cfg(any(fuzzing, test))]
pub mod fuzzed;
pub mod layout;
mod list;
mod observe;
mod owner;
pub mod private;
mod probe;
mod queue;
mod range;
pub mod reference;
mod removal;
mod remove;
mod scope;
mod set;
mod shared;
mod status;
pub mod transaction;
mod translation;
mod undo;
mod wanted;

use std::collections::BTreeMap;

use common::error::{Code, Error};
use common::log::Log;
use common::netconf::ValidAttachment;
use common::{Drift, Family};
use nft::socket::Nft;

use crate::backend::{Backend, Gone, Job};
use crate::config::Config;
use crate::host_port::{self, Forward, HostPort};
use crate::limits::Node;
use crate::list::row::Row;
use crate::options::BackendKind;
use crate::plan::Plan;
use apply::Others;
use claim::Taken;

/// The backend.
pub struct Nftables;

impl Backend for Nftables {
    const KIND: BackendKind = BackendKind::Nftables;
    /// What they share. Every plan finds its own elements by their keys.
    type Seen = observe::Shared;
    type Undo = undo::Undo;
    type Dead = remove::Dead;

    fn observe(jobs: &[Job<'_>]) -> observe::Shared {
        observe::Shared::read(jobs)
    }

    fn diff(
        seen: &observe::Shared,
        plan: &Plan,
        _config: &Config,
        _log: &Log,
    ) -> Result<Vec<Drift>, Error> {
        diff::diff(seen, plan)
    }

    fn apply(plan: &Plan, config: &Config, log: &Log) -> Result<undo::Undo, Error> {
        let (undo, Others { evicted, before }) = apply::apply(plan, config.on_conflict)?;
        for (by, ports) in by_owner(&evicted) {
            log.warn(format!("{ports} belonged to {by}"));
        }
        for (by, ports) in by_owner(&before) {
            log.warn(format!(
                "{ports} stays with {by} on the addresses that its hostAddresses or hostInterfaces have in common with these: make the two lists disjoint, or the same"
            ));
        }
        Ok(undo)
    }

    fn leave(plan: &Plan, _config: &Config) -> Result<undo::Undo, Error> {
        apply::leave(plan)
    }

    fn remove(gone: &Gone<'_>, log: &Log) -> Result<Option<Vec<Forward>>, Error> {
        match gone {
            Gone::Owner {
                owner,
                mappings,
                evidence,
            } => remove::del(owner, mappings, evidence, log),
            Gone::Entries {
                attachment,
                kept,
                evidence: _,
            } => remove::entries(attachment, kept),
        }
    }

    fn dead(network: &str, valid: &[ValidAttachment]) -> Result<remove::Dead, Error> {
        remove::dead(network, valid)
    }

    fn collect(dead: remove::Dead, log: &Log) -> Result<Option<Vec<Forward>>, Error> {
        remove::gc(dead, log)
    }

    fn list() -> Result<Vec<Row>, Error> {
        list::list()
    }

    fn status(config: &Config, _node: &Node) -> Result<(), Error> {
        status::status(config)
    }
}

/// Ports that others have, in a few words for each owner: there may be thousands.
fn by_owner(taken: &[Taken]) -> BTreeMap<&str, String> {
    let mut all: BTreeMap<&str, Vec<HostPort>> = BTreeMap::new();
    for Taken { port, by } in taken {
        all.entry(by.as_str()).or_default().push(*port);
    }
    let words = all.into_iter();
    words
        .map(|(by, ports)| (by, host_port::in_short(ports.into_iter())))
        .collect()
}

/// What the kernel lacks for our table of an IP version; `None` when that is nothing.
///
/// # Errors
/// When it does not answer.
pub fn lack(family: Family) -> Result<Option<String>, Error> {
    let missing = probe::missing(&mut Nft::open()?, family)?;
    Ok((!missing.is_empty()).then(|| missing.join("; ")))
}

/// What ADD of a plan would make, a line each.
pub fn shown(plan: &Plan) -> Vec<String> {
    let owner = owner::text(&plan.attachment);
    let mut lines = Vec::new();
    for forwards in &plan.families {
        let table = shared::table_name(forwards.family);
        lines.extend(forwards.only.as_ref().map(|only| {
            let (set, prefixes) = (
                scope::names::addresses(only.scope),
                scope::shown(&only.prefixes),
            );
            format!("nft {table} {set}: {prefixes}")
        }));
        let elements = wanted::of_plan(forwards, plan.masquerade, &owner);
        lines.extend(elements.iter().map(|((set, _), element)| {
            let element = claim::shown(*set, element);
            format!("nft {table} {}: {element}", set.name())
        }));
        let conditions = forwards.conditions.join(" ");
        let ports = forwards.ports.iter().filter(|_| !conditions.is_empty());
        lines.extend(ports.map(|port| {
            format!(
                "nft {table} conditions: {conditions}: {} to {}",
                port.port, port.to
            )
        }));
    }
    lines
}

/// What to say when a family's table cannot be read.
fn unreadable(family: Family, refusal: common::sys::netlink::Refusal) -> Error {
    let name = shared::table_name(family);
    Error::new(Code::System, format!("read {name}")).with_details(refusal)
}
