//! The verbs over every backend that is present.

use common::error::Error;
use common::log::Log;
use common::netconf::ValidAttachment;
use common::{Attachment, Drift};

use crate::config::{Config, Evidence};
use crate::host_port::{self, Forward};
use crate::mapping::PortMapping;
use crate::options::{Backend, Mark};
use crate::plan::Plan;
use crate::{iptables, nftables};

/// What takes back what a backend applied.
pub enum Undo {
    /// By iptables.
    Iptables(Vec<iptables::Undo>),
    /// By nftables.
    Nftables(nftables::Added),
}

impl Undo {
    /// Says which ports are mapped now, unless they were before.
    pub fn tell(&self, plan: &Plan, log: &Log) {
        let (changed, backend) = match self {
            Undo::Iptables(undo) => (
                undo.iter().any(iptables::Undo::is_change),
                Backend::Iptables,
            ),
            Undo::Nftables(added) => (added.changed, Backend::Nftables),
        };
        if changed {
            let ports = plan.families.iter().flat_map(|family| &family.ports);
            let ports = host_port::list(ports.map(|forward| forward.port));
            log.changed(format!("mapped {ports} by {}", backend.name()));
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Everything that could not be taken back.
    pub fn run(self) -> Result<(), Error> {
        match self {
            Undo::Iptables(undo) => iptables::undo(undo),
            Undo::Nftables(added) => added.undo.run(),
        }
    }
}

/// The backend that a configuration gets: the one it asks for, else iptables where it is installed or the
/// configuration names a chain of it, which needs no program. Nothing else on the node counts: what ADD
/// chooses CHECK must choose, too.
///
/// # Errors
/// Code 7 when the configuration has options of another backend, 100 when it cannot be found out whether
/// iptables is installed.
pub fn choose(config: &Config) -> Result<Backend, Error> {
    let backend = match config.backend {
        Some(backend) => backend,
        None if matches!(config.mark, Mark::Chain(_)) => Backend::Iptables,
        None if iptables::is_installed()? => Backend::Iptables,
        None => Backend::Nftables,
    };
    config.accept(backend)?;
    Ok(backend)
}

/// Applies a plan, all or nothing.
///
/// # Errors
/// As the backend's.
pub fn add(plan: &Plan, config: &Config, log: &Log) -> Result<Undo, Error> {
    match choose(config)? {
        Backend::Iptables => iptables::add(plan, config, log).map(Undo::Iptables),
        Backend::Nftables => {
            let added = nftables::add(plan, config.on_conflict)?;
            for nftables::Taken { port, by } in &added.taken {
                log.warn(format!("host port {port} belonged to {by}"));
            }
            Ok(Undo::Nftables(added))
        }
    }
}

/// How the kernel's rules differ from a plan. iptables' tables that were read already are not read
/// again.
///
/// # Errors
/// As the backend's.
pub fn check(plan: &Plan, config: &Config, tables: &iptables::Tables) -> Result<Vec<Drift>, Error> {
    match choose(config)? {
        Backend::Iptables => iptables::check(plan, config, tables),
        Backend::Nftables => nftables::check(plan),
    }
}

/// Removes what an attachment has in any backend, and gives what it led to.
/// `mappings` are its own as far as they are known, `evidence` what the request says of them.
///
/// # Errors
/// Everything that could not be removed.
pub fn del(
    attachment: &Attachment,
    mappings: &[PortMapping],
    evidence: &Evidence,
    log: &Log,
) -> Result<Vec<Forward>, Error> {
    both(
        nftables::del(attachment, mappings, evidence, log),
        iptables::del(attachment, evidence, log),
        log,
    )
}

/// Removes what a network's attachments have in any backend that are not valid, and gives what
/// they led to.
///
/// # Errors
/// Everything that could not be removed.
pub fn gc(network: &str, valid: &[ValidAttachment], log: &Log) -> Result<Vec<Forward>, Error> {
    both(
        nftables::gc(network, valid, log),
        iptables::gc(network, valid, log),
        log,
    )
}

/// What both backends removed.
fn both(
    nftables: Result<Option<Vec<Forward>>, Error>,
    iptables: Result<Vec<Forward>, Error>,
    log: &Log,
) -> Result<Vec<Forward>, Error> {
    if let Ok(Some(removed)) = &nftables {
        let ports = removed.iter().map(|forward| forward.port);
        log.changed(host_port::unmapped(ports, Backend::Nftables.name()));
    }
    match (nftables, iptables) {
        (Ok(all), Ok(more)) => {
            let mut all = all.unwrap_or_default();
            all.extend(more);
            Ok(all)
        }
        (Err(error), Err(also)) => Err(error.and(also)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Whether the backend that ADD would take can work.
///
/// # Errors
/// Code 50 with what is missing; as [`choose`], and for conditions as ADD.
pub fn status(config: &Config) -> Result<(), Error> {
    match choose(config)? {
        Backend::Nftables => nftables::status(config),
        Backend::Iptables => iptables::status(config),
    }
}
