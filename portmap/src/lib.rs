//! `portmap`: forwards ports of the node to a container.
//!
//! parse → plan → observe → diff → apply; docs/portmap.md has the keys.

pub mod address;
mod backend;
mod backends;
mod conditions;
mod config;
mod conntrack;
mod entry;
pub mod firewall;
#[cfg(any(fuzzing, test))]
pub mod fuzzed;
mod host_port;
mod iptables;
mod keys;
mod limits;
pub mod list;
mod localnet;
mod many;
mod mapping;
mod moved;
mod nftables;
pub mod notice;
mod operate;
mod options;
mod outlook;
mod plan;
pub mod program;
mod runs;
mod turn;

use std::net::IpAddr;
use std::process::ExitCode;

use common::drift::verdict;
use common::keys::Key;
use common::log::Log;
use common::sys::lock::Children;
use common::version::Version;
use common::{Added, Code, Drift, Error, Family, Pending, Plugin, Request};

use crate::limits::Node;
use crate::options::Masquerade;
use backend::{Gone, Leaving};
use backends::Seen;
use config::Config;
use conntrack::Stale;
use plan::Plan;
use turn::Turn;

pub use entry::{KEYS as ENTRY_KEYS, is_same as is_same_entry};
pub use host_port::{Forward, HostPort};
pub use xtables::legacy::Stamp as LegacyStamp;

/// The plugin.
pub struct Portmap;

impl Plugin for Portmap {
    const NAME: &'static str = "portmap";
    const VERSIONS: &'static [Version] = Version::ALL;
    const KEYS: &'static [&'static [Key]] = crate::keys::KEYS;

    fn add(request: &Request) -> Result<Added, Error> {
        let (config, result) = Config::parse(request)?;
        let writers = backends::writers(&config)?;
        let turn = writers.map(|writers| turn::of(&request.attachment, writers));
        let turn = turn.transpose()?;
        let plan = Plan::of(&config, &Node::default())?;
        warn_of_unserved(&plan, &config, &request.log);
        if plan.families.is_empty() {
            return Ok(Added::nothing(result));
        }
        let undo = backends::apply(&plan, &config, &request.log)?;
        let opened = match open_loopback(&plan, &request.log) {
            Ok(opened) => opened,
            Err(error) => {
                return Err(match undo.run() {
                    Ok(()) => error,
                    Err(also) => error.and(also),
                });
            }
        };
        undo.tell(&plan, &request.log);
        let was_there = undo.was_there();
        if let Some(interface) = opened {
            request
                .log
                .changed(format!("set route_localnet of {interface}"));
        }
        forget(stale(&plan, was_there, &request.log), &request.log);
        Ok(Added::new(result, Made { undo, _turn: turn }))
    }

    fn check(request: &Request) -> Result<(), Error> {
        let (config, _) = Config::parse(request)?;
        let plan = Plan::of(&config, &Node::default())?;
        let drifts = drifts(&Seen::default(), (&plan, &config), &request.log)?;
        verdict(&request.attachment, &drifts)
    }

    fn del(request: &Request) -> Result<(), Error> {
        let leaving = Leaving::of(request);
        let _turn = turn::of(&request.attachment, Children::DoNotHold)?;
        let log = &request.log;
        let owner = entry::owner(request);
        match backends::remove(&leaving.owner(&owner), log)? {
            Some(removed) => forget(removed.into_iter().map(Stale::from), log),
            // The configuration may have been another one at ADD.
            None if owner == request.attachment => remove_all(&[leaving.entries(&[])], log)?,
            None => remove_all(&leaving.all(), log)?,
        }
        Ok(())
    }

    fn gc(request: &Request) -> Result<(), Error> {
        let valid = request.conf.valid_attachments()?;
        let log = &request.log;
        let removed = backends::collect(&request.attachment.network, &valid, log)?;
        forget(removed.into_iter().flatten().map(Stale::from), log);
        Ok(())
    }

    fn status(request: &Request) -> Result<(), Error> {
        let config = Config::of_network(request)?;
        let node = Node::default();
        let located = config.limits.locate(&node, &config.mappings);
        located.map_err(|error| match error.code {
            Code::System => Error {
                code: Code::NotAvailable,
                ..error
            },
            _ => error,
        })?;
        backends::status(&config, &node)
    }
}

/// The rules that an ADD made, in the attachment's turn.
struct Made {
    undo: backends::Undo,
    _turn: Option<Turn>,
}

impl Pending for Made {
    fn undo(self: Box<Self>) -> Result<(), Error> {
        self.undo.run()
    }
}

/// Handles the request in this process's environment and on stdin.
pub fn main() -> ExitCode {
    common::run::<Portmap>()
}

/// Removes all of these, and carries on after failures.
fn remove_all(all: &[Gone<'_>], log: &Log) -> Result<(), Error> {
    let mut errors = Vec::new();
    for gone in all {
        match backends::remove(gone, log) {
            Ok(removed) => forget(removed.into_iter().flatten().map(Stale::from), log),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors).map_or(Ok(()), Err)
}

fn warn_of_unserved(plan: &Plan, config: &Config, log: &Log) {
    for mapping in plan::unserved(config) {
        log.warn(format!("{mapping}: the container has no such address"));
    }
    for mapping in &plan.unreachable {
        let limits = config.limits.shown();
        log.warn(format!("{mapping}: mapped nowhere, as hostAddresses and hostInterfaces ({limits}) leave no address of the node"));
    }
}

/// Compares one attachment with the kernel, as far as it was not read already.
fn drifts(seen: &Seen, (plan, config): (&Plan, &Config), log: &Log) -> Result<Vec<Drift>, Error> {
    if plan.families.is_empty() {
        return Ok(Vec::new());
    }
    let mut drifts = backends::diff(seen, plan, config, log)?;
    if let Some(container) = reached_from_loopback(plan) {
        drifts.extend(localnet::check(container)?);
    }
    Ok(drifts)
}

/// The container's address that the node's loopback addresses must reach, if any.
fn reached_from_loopback(plan: &Plan) -> Option<IpAddr> {
    let forwards = plan.family(Family::V4)?;
    (plan.masquerade != Masquerade::Nothing).then_some(forwards.container.addr)
}

/// Opens the way from there, and gives the interface on which it was closed.
fn open_loopback(plan: &Plan, log: &Log) -> Result<Option<String>, Error> {
    match reached_from_loopback(plan) {
        Some(container) => localnet::enable(container, log),
        None => Ok(None),
    }
}

/// The connections that a plan's ports had before; those of the container itself stay where it had the ports already.
fn stale(plan: &Plan, was_there: bool, log: &Log) -> Vec<Stale> {
    let mut all = Vec::new();
    for forwards in &plan.families {
        let family = forwards.family;
        let of = |port: HostPort| Stale {
            family,
            port,
            container: None,
            kept: was_there.then_some(forwards.container.addr),
        };
        let limits = forwards.only.as_ref();
        let (wide, own): (Vec<_>, Vec<_>) = forwards
            .ports
            .iter()
            .map(|forward| forward.port)
            .partition(|port| limits.is_some() && port.address.is_none());
        all.extend(own.into_iter().map(of));
        if wide.is_empty() {
            continue;
        }
        let local = address::local(family).unwrap_or_else(|error| {
            log.warn(error);
            Vec::new()
        });
        let is_allowed =
            |addr: &IpAddr| limits.is_some_and(|only| only.prefixes.iter().any(|p| p.has(*addr)));
        for addr in local.into_iter().filter(is_allowed) {
            let address = Some(addr);
            let limited = wide.iter().map(|port| HostPort { address, ..*port });
            all.extend(limited.map(of));
        }
    }
    all
}

/// Drops connections. The rules are right without, so a failure is only worth a warning.
fn forget(stale: impl IntoIterator<Item = Stale>, log: &Log) {
    if let Err(error) = conntrack::drop_stale(stale) {
        log.warn(error);
    }
}
