//! One port mapping: the values that `runtimeConfig.portMappings` may hold, checked once.

use std::fmt;
use std::net::IpAddr;

use common::decode::{Object, Value};
use common::error::Error;
use common::{Family, Protocol};

use crate::host_port::HostPort;

/// A port of the node that is forwarded to a port of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortMapping {
    /// The node's port, from 1 on. Its address is that of the request: `None` for all of both families; `0.0.0.0` and
    /// `::` for all of their family.
    pub asked: HostPort,
    /// The container's port, from 1 on.
    pub container_port: u16,
}

impl PortMapping {
    /// Reads one of `portMappings`.
    ///
    /// # Errors
    /// Code 6 for values of the wrong type, code 7 for ports outside 1 to 65535, an unknown protocol
    /// or a `hostIP` that is not an address of one host; each with the path and the value.
    pub fn parse(value: Value<'_>) -> Result<PortMapping, Error> {
        let raw = value.object()?;
        Ok(PortMapping {
            asked: HostPort {
                protocol: protocol(raw, value)?,
                address: host_ip(raw)?,
                within: None,
                number: port(raw, "hostPort", value)?,
            },
            container_port: port(raw, "containerPort", value)?,
        })
    }

    /// Whether packets of a family can match: its `hostIP` is absent or of that family.
    pub fn serves(&self, family: Family) -> bool {
        let address = self.asked.address;
        address.is_none_or(|addr| Family::of(addr) == family)
    }

    /// The port that is mapped, in every IP version that it serves.
    pub fn host_port(&self) -> HostPort {
        HostPort {
            address: self.asked.address.filter(|addr| !addr.is_unspecified()),
            ..self.asked
        }
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.asked.fmt(f)
    }
}

fn protocol(raw: Object<'_>, whole: Value<'_>) -> Result<Protocol, Error> {
    let known = "expected tcp, udp or sctp";
    let value = raw
        .get("protocol")
        .ok_or_else(|| whole.refuse(format!("protocol is missing, {known}")))?;
    Protocol::from_text(&value.string()?).ok_or_else(|| value.refuse(known))
}

fn port(raw: Object<'_>, key: &'static str, whole: Value<'_>) -> Result<u16, Error> {
    let expected = "expected a port from 1 to 65535";
    let value = raw
        .get(key)
        .ok_or_else(|| whole.refuse(format!("{key} is missing, {expected}")))?;
    u16::try_from(value.integer()?)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| value.refuse(expected))
}

fn host_ip(raw: Object<'_>) -> Result<Option<IpAddr>, Error> {
    let Some(value) = raw.get("hostIP") else {
        return Ok(None);
    };
    let text = value.string()?;
    if text.is_empty() {
        return Ok(None);
    }
    // ::ffff:192.0.2.1 is the IPv4 address to everybody else, also to the reference.
    let addr: IpAddr = text
        .parse()
        .map_err(|_| value.refuse("expected an IP address"))?;
    let addr = addr.to_canonical();
    match is_of_many(addr) {
        true => Err(value.refuse("expected an address of the node, not a group's or a broadcast")),
        false => Ok(Some(addr)),
    }
}

/// Whether packets to an address are for many hosts: no interface can be given it, so none are translated.
fn is_of_many(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

/// Leaves out mappings that an earlier one makes pointless, as the first rule of a chain does, and
/// calls `lost` for those that wanted another port of the container.
pub fn without_repetitions(
    mappings: Vec<PortMapping>,
    mut lost: impl FnMut(&PortMapping),
) -> Vec<PortMapping> {
    let mut kept: Vec<PortMapping> = Vec::with_capacity(mappings.len());
    let mut seen = std::collections::HashMap::new();
    for mapping in mappings {
        match seen.insert(mapping.asked, mapping.container_port) {
            None => kept.push(mapping),
            Some(first) => {
                if first != mapping.container_port {
                    lost(&mapping);
                }
                seen.insert(mapping.asked, first);
            }
        }
    }
    kept
}
