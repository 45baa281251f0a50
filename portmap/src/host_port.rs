//! A port of the node, and where it leads.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use common::{Family, Protocol};

use crate::limits::scope::Scope;

/// A port of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// The protocol.
    pub protocol: Protocol,
    /// The only address of the node that is mapped, or `None` for all.
    pub address: Option<IpAddr>,
    /// The limits in which a port without an address is mapped, in the nftables backend: elsewhere none, as a
    /// plan has them for all ports.
    pub within: Option<Scope>,
    /// Its number.
    pub number: u16,
}

/// A port of the node that leads to one of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Forward {
    /// The node's port.
    pub port: HostPort,
    /// The container's address and port.
    pub to: SocketAddr,
}

impl HostPort {
    /// Whether it takes every packet of another.
    pub fn takes(&self, other: &HostPort) -> bool {
        let same = (self.protocol, self.number) == (other.protocol, other.number);
        same && (self.address.is_none() || self.address == other.address)
    }

    /// The port with the next number.
    pub fn next(self) -> Option<HostPort> {
        let number = self.number.checked_add(1)?;
        Some(HostPort { number, ..self })
    }

    /// Its address in front of its number, if it has one.
    pub fn place(self) -> String {
        match self.address {
            Some(IpAddr::V6(address)) => format!("[{address}]:"),
            Some(IpAddr::V4(address)) => format!("{address}:"),
            None => String::new(),
        }
    }

    /// The same port of all addresses.
    pub fn everywhere(self) -> HostPort {
        HostPort {
            address: None,
            within: None,
            ..self
        }
    }
}

/// What an attachment that has a port claims, in the words of [`common::operate::Claim`]. With limits, those of its
/// interfaces are part of it.
pub fn claimed(family: Family, port: HostPort, limits: Option<&str>) -> String {
    let HostPort {
        protocol,
        address,
        within: _,
        number,
    } = port;
    let place = match (address, limits) {
        (Some(address), _) => address.to_string(),
        (None, None) => "everywhere".to_owned(),
        (None, Some(interfaces)) => format!("within {interfaces}"),
    };
    format!("{family} {number}/{protocol} {place}")
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", self.place(), self.number, self.protocol)
    }
}

/// What is said of ports whose rules were removed; there may be rules without any port.
pub fn unmapped(ports: impl Iterator<Item = HostPort>, backend: &str) -> String {
    match list(ports) {
        ports if ports.is_empty() => format!("removed rules without ports by {backend}"),
        ports => format!("unmapped {ports} by {backend}"),
    }
}

/// A list of ports, each once, in order of protocol, address and number.
pub fn list(ports: impl Iterator<Item = HostPort>) -> String {
    sorted(ports).join(", ")
}

/// Ports, each once, in order of protocol, address and number.
pub fn sorted(ports: impl Iterator<Item = HostPort>) -> Vec<String> {
    let ports: BTreeSet<HostPort> = ports.collect();
    ports.iter().map(HostPort::to_string).collect()
}

/// The first of some ports, and how many more there are: `host port 80/tcp and 7 more`.
pub fn in_short(ports: impl Iterator<Item = HostPort>) -> String {
    let ports: BTreeSet<HostPort> = ports.collect();
    let first = ports.first().map(HostPort::to_string).unwrap_or_default();
    match ports.len() {
        0 | 1 => format!("host port {first}"),
        count => format!("host port {first} and {} more", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_port_once() {
        let port = |protocol, address: Option<&str>, number| HostPort {
            protocol,
            address: address.map(|address| address.parse().unwrap()),
            within: None,
            number,
        };
        let ports = [
            port(Protocol::Udp, None, 53),
            port(Protocol::Tcp, Some("2001:db8::1"), 80),
            port(Protocol::Tcp, Some("192.0.2.1"), 80),
            port(Protocol::Tcp, None, 8080),
            port(Protocol::Udp, None, 53),
        ];
        let expected = "8080/tcp, 192.0.2.1:80/tcp, [2001:db8::1]:80/tcp, 53/udp";
        assert_eq!(list(ports.into_iter()), expected);
        let said = unmapped([port(Protocol::Tcp, None, 80)].into_iter(), "iptables");
        assert_eq!(said, "unmapped 80/tcp by iptables");
    }
}
