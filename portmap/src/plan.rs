//! What is to be forwarded, per IP version: a pure function of the configuration.

use std::net::SocketAddr;

use common::result::Prefix;
use common::{Attachment, Family, Protocol};

use crate::config::Config;
use crate::host_port::Forward;
use crate::limits::Allowed;
use crate::mapping::PortMapping;
use crate::options::Masquerade;

/// What is to be forwarded to one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whose it is.
    pub attachment: Attachment,
    /// What is masqueraded.
    pub masquerade: Masquerade,
    /// One entry for each IP version that has something to forward.
    pub families: Vec<Forwards>,
}

/// What is to be forwarded in one IP version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwards {
    /// The IP version.
    pub family: Family,
    /// The container's address with its prefix length; host bits are kept.
    pub container: Prefix,
    /// Matches that packets must fulfil besides, in the backend's syntax, word by word.
    pub conditions: Vec<String>,
    /// The node's addresses that ports without one of their own are mapped on; `None` for all.
    pub only: Option<Allowed>,
    /// The single ports, at least one, in the order written.
    pub ports: Vec<Forward>,
    /// The ports of all mappings, also those of the other IP version, in the order written: the
    /// reference's jump rules list them all.
    pub listed: Vec<(Protocol, u16)>,
}

impl Plan {
    /// The plan of a configuration.
    pub fn new(config: &Config) -> Plan {
        Plan {
            attachment: config.attachment.clone(),
            masquerade: config.masquerade,
            families: Family::ALL
                .into_iter()
                .filter_map(|family| forwards(config, family))
                .collect(),
        }
    }

    /// What is to be forwarded in an IP version, if anything is.
    pub fn family(&self, family: Family) -> Option<&Forwards> {
        self.families.iter().find(|f| f.family == family)
    }
}

/// Mappings that no IP version of the container can serve.
pub fn unserved(config: &Config) -> impl Iterator<Item = &PortMapping> {
    config.mappings.iter().filter(|mapping| {
        // For an unspecified address, runtimes ask for both versions whatever the container has.
        mapping.host_port().address.is_some()
            && !Family::ALL
                .into_iter()
                .any(|f| config.container(f).is_some() && mapping.serves(f))
    })
}

/// Mappings for which the limits leave no address that the container can serve.
pub fn unreachable(config: &Config) -> impl Iterator<Item = &PortMapping> {
    let serves = |mapping: &PortMapping, family| {
        config.container(family).is_some() && mapping.serves(family)
    };
    config.mappings.iter().filter(move |mapping| {
        let mut families = Family::ALL
            .into_iter()
            .filter(|f| serves(mapping, *f))
            .peekable();
        families.peek().is_some() && families.all(|family| !is_mapped(config, mapping, family))
    })
}

/// Whether the limits leave a mapping an address of an IP version.
fn is_mapped(config: &Config, mapping: &PortMapping, family: Family) -> bool {
    mapping.host_port().address.is_some()
        || config
            .allowed(family)
            .is_none_or(|allowed| !allowed.prefixes.is_empty())
}

fn forwards(config: &Config, family: Family) -> Option<Forwards> {
    let container = config.container(family)?;
    let ports: Vec<Forward> = config
        .mappings
        .iter()
        .filter(|mapping| mapping.serves(family) && is_mapped(config, mapping, family))
        .map(|mapping| Forward {
            port: mapping.host_port(),
            to: SocketAddr::new(container.addr, mapping.container_port),
        })
        .collect();
    let is_wide = |forward: &Forward| forward.port.address.is_none();
    let only = config.allowed(family).filter(|_| ports.iter().any(is_wide));
    (!ports.is_empty()).then(|| Forwards {
        family,
        container,
        only: only.cloned(),
        conditions: config.conditions(family).to_vec(),
        ports,
        listed: config
            .mappings
            .iter()
            .map(|m| (m.asked.protocol, m.asked.number))
            .collect(),
    })
}
