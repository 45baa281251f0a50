//! What this node has for ADD: parts of the kernel, and the backend.

use std::net::IpAddr;
use std::sync::OnceLock;

use common::operate::Part;
use common::sys::netlink::Netlink;
use common::{Attachment, Error, Family, Request};

use crate::address;
use crate::config::Config;
use crate::limits::{Limits, Node, prefixes};
use crate::options::{BackendKind, DEFAULT_MARK_BIT, Mark, Masquerade, OnConflict};
use crate::{backends, conntrack, iptables, nftables};

/// Tries each part in the calling thread's namespace.
pub fn kernel() -> Vec<Part> {
    let mut parts = Vec::new();
    for (family, purpose) in [
        (
            Family::V4,
            "portmap's nftables backend cannot map host ports",
        ),
        (
            Family::V6,
            "portmap's nftables backend cannot map IPv6 ports",
        ),
    ] {
        parts.push(Part {
            name: format!("nf_tables ({family})"),
            purpose,
            fault: nftables::lack(family).unwrap_or_else(|error| Some(error.to_string())),
        });
        let tried = iptables::try_rules(&any(), &Node::default(), family);
        parts.push(Part {
            name: format!("xtables' matches and targets ({family})"),
            purpose: match family {
                Family::V4 => "portmap's iptables backend cannot map host ports",
                Family::V6 => "portmap's iptables backend cannot map IPv6 ports",
            },
            fault: tried.err().map(|error| error.to_string()),
        });
    }
    parts.push(Part {
        name: "conntrack over netlink (nf_conntrack_netlink)".to_owned(),
        purpose: "connections to removed containers do not end",
        fault: follow_connections().err().map(|error| error.to_string()),
    });
    parts
}

fn follow_connections() -> Result<(), Error> {
    let mut socket = Netlink::netfilter()?;
    match conntrack::entries(&mut socket) {
        Some(_) => Ok(()),
        None => Err(Error::new(
            common::Code::Unsupported,
            "the kernel does not say how many connections there are",
        )),
    }
}

/// The configuration of a network that says nothing.
fn any() -> Config {
    Config {
        attachment: Attachment {
            network: "any".to_owned(),
            container: "any".to_owned(),
            ifname: "eth0".to_owned(),
        },
        backend: None,
        chosen: OnceLock::new(),
        masquerade: Masquerade::Needed,
        mark: Mark::Bit(DEFAULT_MARK_BIT),
        on_conflict: OnConflict::Replace,
        conditions_v4: Vec::new(),
        conditions_v6: Vec::new(),
        limits: Limits::default(),
        mappings: Vec::new(),
        container_v4: None,
        container_v6: None,
    }
}

/// The backend of a network, and why it is that one.
///
/// # Errors
/// Why it cannot work.
pub fn choice(request: &Request) -> Result<Option<String>, Error> {
    let (config, node) = (Config::of_network(request)?, Node::default());
    config.limits.locate(&node, &config.mappings)?;
    let backend = backends::choose(&config)?;
    let why = match (config.backend, &config.mark, backend) {
        (Some(_), ..) => "the configuration says so".to_owned(),
        (None, Mark::Chain(chain), _) => {
            format!("externalSetMarkChain {chain} is one of iptables'")
        }
        (None, _, BackendKind::Iptables) => "iptables is installed".to_owned(),
        (None, _, BackendKind::Nftables) => "iptables is not installed".to_owned(),
    };
    backends::status(&config, &node).map_err(|error| Error {
        msg: format!("backend {} ({why}): {}", backend.name(), error.msg),
        ..error
    })?;
    Ok(Some(format!("backend {}: {why}", backend.name())))
}

/// The interface to which kube-proxy in ipvs mode adds the addresses of all Services.
const OF_SERVICES: &str = "kube-ipvs0";

/// Whether host ports take the packets to Services that have the same number. With iptables they do not: kube-proxy's
/// chains come first and accept those.
///
/// # Errors
/// Code 100 when the kernel does not say; as [`choice`] of the configuration.
pub fn hazard(request: &Request) -> Result<Option<String>, Error> {
    let config = Config::of_network(request)?;
    if backends::choose(&config)? != BackendKind::Nftables {
        return Ok(None);
    }
    let interfaces = address::interfaces()?;
    let mut services = interfaces
        .local
        .iter()
        .map(|local| (&local.interface, local.prefix.addr));
    let node = Node::of(interfaces.clone());
    let located = config.limits.locate(&node, &config.mappings)?;
    let is_mapped = |addr: IpAddr| {
        let allowed = located.of(Family::of(addr));
        allowed.is_none_or(|allowed| prefixes::have(&allowed.prefixes, addr))
    };
    let found = services.find(|(interface, addr)| *interface == OF_SERVICES && is_mapped(*addr));
    Ok(found.map(|(_, addr)| {
        format!(
            "host ports are also mapped on addresses of Services, such as {addr} of {OF_SERVICES}, where they take the \
             packets to a Service's port of the same number; write \"hostInterfaces\": [\"!{OF_SERVICES}\"]"
        )
    }))
}
