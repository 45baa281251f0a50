//! The verbs over every backend that is present.

use common::error::Error;
use common::netconf::ValidAttachment;
use common::warn::warn;
use common::{Attachment, Drift};

use crate::config::{Backend, Config, Evidence};
use crate::conntrack::Stale;
use crate::mapping::{Family, PortMapping};
use crate::plan::Plan;
use crate::{iptables, nftables};

/// What takes back what a backend applied.
pub enum Undo {
    /// By iptables.
    Iptables(Vec<iptables::Undo>),
    /// By nftables.
    Nftables(nftables::Undo),
}

impl Undo {
    /// Takes it back.
    ///
    /// # Errors
    /// Everything that could not be taken back.
    pub fn run(self) -> Result<(), Error> {
        match self {
            Undo::Iptables(undo) => iptables::undo(undo),
            Undo::Nftables(undo) => undo.run(),
        }
    }
}

/// The backend that a configuration gets: the one it asks for, else iptables where it is installed.
///
/// # Errors
/// Code 7 when the configuration has options of another backend.
pub fn choose(config: &Config) -> Result<Backend, Error> {
    let backend = config.backend.unwrap_or(match iptables::is_installed() {
        true => Backend::Iptables,
        false => Backend::Nftables,
    });
    config.accept(backend)?;
    Ok(backend)
}

/// Applies a plan, all or nothing.
///
/// # Errors
/// As the backend's.
pub fn add(plan: &Plan, config: &Config) -> Result<Undo, Error> {
    match choose(config)? {
        Backend::Iptables => iptables::add(plan, config).map(Undo::Iptables),
        Backend::Nftables => {
            let (undo, taken) = nftables::add(plan, config.on_conflict)?;
            for nftables::Taken { port, by } in taken {
                warn("portmap", format!("host port {port} was of {by}"));
            }
            Ok(Undo::Nftables(undo))
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

/// Removes what an attachment has in any backend, and gives the connections that lead there.
/// `mappings` are its own as far as they are known, `evidence` what the request says of them.
///
/// # Errors
/// Everything that could not be removed.
pub fn del(
    attachment: &Attachment,
    mappings: &[PortMapping],
    evidence: &Evidence,
) -> Result<Vec<Stale>, Error> {
    both(
        nftables::del(attachment, mappings),
        iptables::del(attachment, evidence),
    )
}

/// Removes what a network's attachments have in any backend that are not valid, and gives the
/// connections that lead there.
///
/// # Errors
/// Everything that could not be removed.
pub fn gc(network: &str, valid: &[ValidAttachment]) -> Result<Vec<Stale>, Error> {
    both(nftables::gc(network, valid), iptables::gc(network, valid))
}

/// What both backends removed.
fn both(
    nftables: Result<Vec<Stale>, Error>,
    iptables: Result<Vec<iptables::Translation>, Error>,
) -> Result<Vec<Stale>, Error> {
    match (nftables, iptables) {
        (Ok(mut all), Ok(more)) => {
            all.extend(stale(more));
            Ok(all)
        }
        (Err(error), Err(also)) => Err(error.and(also)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Whether the backend that ADD would take can work.
///
/// # Errors
/// Code 50 with what is missing.
pub fn status(backend: Option<Backend>, conditions: bool) -> Result<(), Error> {
    match backend {
        Some(Backend::Nftables) => nftables::status(conditions),
        None if !iptables::is_installed() => nftables::status(conditions),
        Some(Backend::Iptables) | None => iptables::status(),
    }
}

fn stale(removed: Vec<iptables::Translation>) -> Vec<Stale> {
    let of = |t: iptables::Translation| Stale {
        family: Family::of(t.to.ip()),
        protocol: t.protocol,
        host_port: t.host_port,
        host_ip: t.host_ip,
        container: Some(t.to.ip()),
    };
    removed.into_iter().map(of).collect()
}
