//! The verbs over every backend that is present.

use std::net::IpAddr;

use common::error::{Code, Error};
use common::netconf::ValidAttachment;
use common::{Attachment, Drift};

use crate::config::{Backend, Config};
use crate::conntrack::Stale;
use crate::iptables;
use crate::mapping::Family;
use crate::plan::Plan;

/// What takes back what a backend applied.
pub enum Undo {
    /// By iptables.
    Iptables(Vec<iptables::Undo>),
}

impl Undo {
    /// Takes it back.
    ///
    /// # Errors
    /// Everything that could not be taken back.
    pub fn run(self) -> Result<(), Error> {
        match self {
            Undo::Iptables(undo) => iptables::undo(undo),
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
        Backend::Nftables => Err(no_nftables()),
    }
}

/// How the kernel's rules differ from a plan.
///
/// # Errors
/// As the backend's.
pub fn check(plan: &Plan, config: &Config) -> Result<Vec<Drift>, Error> {
    match choose(config)? {
        Backend::Iptables => iptables::check(plan, config),
        Backend::Nftables => Err(no_nftables()),
    }
}

/// Removes what an attachment has in any backend, and gives the connections that lead there.
///
/// # Errors
/// Everything that could not be removed.
pub fn del(attachment: &Attachment, addresses: &[IpAddr]) -> Result<Vec<Stale>, Error> {
    Ok(stale(iptables::del(attachment, addresses)?))
}

/// Removes what a network's attachments have in any backend that are not valid, and gives the
/// connections that lead there.
///
/// # Errors
/// Everything that could not be removed.
pub fn gc(network: &str, valid: &[ValidAttachment]) -> Result<Vec<Stale>, Error> {
    Ok(stale(iptables::gc(network, valid)?))
}

/// Whether the backend that ADD would take can work.
///
/// # Errors
/// Code 50 with what is missing.
pub fn status(backend: Option<Backend>) -> Result<(), Error> {
    match backend {
        Some(Backend::Nftables) => Err(no_nftables()),
        Some(Backend::Iptables) | None => iptables::status(),
    }
}

fn no_nftables() -> Error {
    Error::new(Code::Unsupported, "the nftables backend is not built in")
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
