//! What is to be forwarded, per IP version: a pure function of the configuration and of the node's addresses.

use std::collections::HashMap;
use std::net::SocketAddr;

use common::result::Prefix;
use common::{Attachment, Error, Family, Protocol};

use crate::config::Config;
use crate::host_port::Forward;
use crate::limits::located::Located;
use crate::limits::{Allowed, Node};
use crate::mapping::PortMapping;
use crate::options::Masquerade;

/// What is to be forwarded to one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Who owns it: see [`crate::entry`].
    pub attachment: Attachment,
    /// What is masqueraded.
    pub masquerade: Masquerade,
    /// One entry for each IP version that has something to forward.
    pub families: Vec<Forwards>,
    /// Mappings for which the limits leave no address that the container can serve.
    pub unreachable: Vec<PortMapping>,
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
    /// The single ports, at least one, in the order written, except for a port of one address that comes before
    /// the same port of all.
    pub ports: Vec<Forward>,
    /// The ports of all mappings, also those of the other IP version, in the order written: the
    /// reference's jump rules list them all.
    pub listed: Vec<(Protocol, u16)>,
}

impl Plan {
    /// The plan of a configuration on this node, as it is now.
    ///
    /// # Errors
    /// As [`crate::limits::Limits::locate`].
    pub fn of(config: &Config, node: &Node) -> Result<Plan, Error> {
        let located = config.limits.locate(node, &config.mappings)?;
        Ok(Plan::new(config, &located))
    }

    /// The plan of a configuration whose limits are located.
    fn new(config: &Config, located: &Located) -> Plan {
        let families = config.families();
        Plan {
            attachment: config.attachment.clone(),
            masquerade: config.masquerade,
            families: families
                .filter_map(|family| forwards(config, located, family))
                .collect(),
            unreachable: unreachable(config, located),
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
                .any(|family| config.can_serve(mapping, family))
    })
}

fn unreachable(config: &Config, located: &Located) -> Vec<PortMapping> {
    let is_unreachable = |mapping: &&PortMapping| {
        let families = Family::ALL.into_iter();
        let mut families = families
            .filter(|family| config.can_serve(mapping, *family))
            .peekable();
        families.peek().is_some() && families.all(|family| !is_mapped(located, mapping, family))
    };
    config
        .mappings
        .iter()
        .filter(is_unreachable)
        .copied()
        .collect()
}

/// Whether the limits leave a mapping an address of an IP version.
fn is_mapped(located: &Located, mapping: &PortMapping, family: Family) -> bool {
    let allowed = located.of(family);
    mapping.host_port().address.is_some()
        || allowed.is_none_or(|allowed| !allowed.prefixes.is_empty())
}

fn forwards(config: &Config, located: &Located, family: Family) -> Option<Forwards> {
    let container = config.container(family)?;
    let mut ports: Vec<Forward> = config
        .mappings
        .iter()
        .filter(|mapping| mapping.serves(family) && is_mapped(located, mapping, family))
        .map(|mapping| Forward {
            port: mapping.host_port(),
            to: SocketAddr::new(container.addr, mapping.container_port),
        })
        .collect();
    put_addresses_first(&mut ports);
    let is_wide = |forward: &Forward| forward.port.address.is_none();
    let only = located.of(family).filter(|_| ports.iter().any(is_wide));
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

/// Moves a port of one address before the same port of all: the first rule that matches serves a packet.
fn put_addresses_first(ports: &mut Vec<Forward>) {
    let key = |forward: &Forward| (forward.port.protocol, forward.port.number);
    let mut wide = HashMap::new();
    for (place, forward) in ports.iter().enumerate() {
        if forward.port.address.is_none() {
            wide.entry(key(forward)).or_insert(place);
        }
    }
    let mut placed: Vec<_> = ports.drain(..).enumerate().collect();
    placed.sort_by_key(|(place, forward)| match forward.port.address {
        None => (*place, true),
        Some(_) => (
            wide.get(&key(forward)).map_or(*place, |w| *place.min(w)),
            false,
        ),
    });
    ports.extend(placed.into_iter().map(|(_, forward)| forward));
}
