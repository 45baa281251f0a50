//! Results: read in any spec version's shape, held in one, printed in any.
//!
//! Layouts are those of the spec's section "Result types" and, for the versions before 1.0.0, of
//! the spec as of those versions. What we do not know is carried along.

mod parse;
mod print;

use std::fmt;
use std::net::IpAddr;

use crate::Family;
use crate::family::bytes;
use crate::json::{Fields, Json};

/// The result of the chain so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CniResult {
    /// Interfaces that plugins made, in the host and in containers. None before 0.3.0.
    pub interfaces: Vec<Interface>,
    /// The addresses given out.
    pub ips: Vec<IpConfig>,
    /// The routes set.
    pub routes: Vec<Route>,
    /// Name service, passed on to the runtime.
    pub dns: Dns,
    /// Keys that no spec version defines.
    pub extra: Fields,
}

/// One of `interfaces`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address, as its creator wrote it; empty when unknown.
    pub mac: String,
    /// Its MTU in bytes, from 1.1.0 on.
    pub mtu: Option<i64>,
    /// The namespace's path; empty for an interface in the host.
    pub sandbox: String,
    /// From 1.1.0 on.
    pub socket_path: String,
    /// From 1.1.0 on.
    pub pci_id: String,
    /// Keys that no spec version defines.
    pub extra: Fields,
}

impl CniResult {
    /// The index in `interfaces` of the container's interface. Some main plugins name it without a
    /// sandbox: it counts where nothing of that name has one.
    pub fn container_interface(&self, ifname: &str) -> Option<usize> {
        let find = |is_in_sandbox| {
            self.interfaces
                .iter()
                .position(|i| i.name == ifname && i.is_in_sandbox() == is_in_sandbox)
        };
        find(true).or_else(|| find(false))
    }

    /// The container's addresses: those of its interface, those that name none or an impossible one,
    /// and all of them where the result names nothing that is in a container.
    pub fn container_ips(&self, ifname: &str) -> impl Iterator<Item = &IpConfig> {
        let own = self.container_interface(ifname);
        let names_none = own.is_none() && !self.interfaces.iter().any(Interface::is_in_sandbox);
        let count = self.interfaces.len();
        self.ips.iter().filter(move |ip| {
            let index = ip.interface.and_then(|index| usize::try_from(index).ok());
            let index = index.filter(|index| *index < count);
            names_none || index.is_none() || index == own
        })
    }

    /// The interfaces in the host: those without a sandbox, except for the container's own.
    pub fn host_interfaces(&self, ifname: &str) -> impl Iterator<Item = &Interface> {
        let own = self.container_interface(ifname);
        let all = self.interfaces.iter().enumerate();
        all.filter(move |(index, i)| !i.is_in_sandbox() && Some(*index) != own)
            .map(|(_, interface)| interface)
    }
}

impl Interface {
    /// Whether the result says that it is in a container.
    pub fn is_in_sandbox(&self) -> bool {
        !self.sandbox.is_empty()
    }
}

/// One of `ips`.
#[derive(Debug, Clone, PartialEq)]
pub struct IpConfig {
    /// The address with its prefix length; host bits are kept.
    pub address: Prefix,
    /// The gateway, if there is one.
    pub gateway: Option<IpAddr>,
    /// An index into `interfaces`.
    pub interface: Option<i64>,
    /// Keys that no spec version defines.
    pub extra: Fields,
}

/// One of `routes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The destination.
    pub dst: Prefix,
    /// The next hop, if it is not the gateway of the address.
    pub gw: Option<IpAddr>,
    /// Everything else: `mtu`, `advmss`, `priority`, `table`, `scope` and what we do not know.
    pub rest: Fields,
}

/// Name service as the spec's `dns`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dns {
    /// Addresses of servers.
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: String,
    /// Search domains.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
    /// Keys that no spec version defines.
    pub extra: Fields,
}

/// An address and a prefix length. Host bits stay, as the spec's addresses have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address.
    pub addr: IpAddr,
    /// The prefix length in bits: up to 32 or 128.
    pub len: u8,
}

impl Prefix {
    /// Reads `ADDRESS/LENGTH`.
    pub fn from_text(text: &str) -> Option<Prefix> {
        let (addr, len) = text.split_once('/')?;
        let addr: IpAddr = addr.parse().ok()?;
        // `parse` alone would take a sign or leading zeros.
        if len.is_empty() || len.len() > 3 || !len.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let len: u8 = len.parse().ok()?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        (len <= most).then_some(Prefix { addr, len })
    }

    /// One address.
    pub fn whole(addr: IpAddr) -> Prefix {
        let len = if addr.is_ipv4() { 32 } else { 128 };
        Prefix { addr, len }
    }

    /// The network that an address with a prefix length is in: without the bits behind it.
    pub fn network(self) -> Prefix {
        let Prefix { addr, len } = self;
        let addr = match addr {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Prefix { addr, len }
    }

    /// Whether an address is one of the prefix's.
    pub fn has(&self, addr: IpAddr) -> bool {
        let family = Family::of(self.addr);
        let mask = family.mask(self.len);
        let pairs = bytes(self.addr).into_iter().zip(bytes(addr));
        family == Family::of(addr) && pairs.zip(mask).all(|((a, b), mask)| a & mask == b & mask)
    }

    /// Whether all addresses of another prefix are also this one's.
    pub fn contains(&self, other: &Prefix) -> bool {
        self.len <= other.len && self.has(other.addr)
    }

    /// Whether two prefixes have an address in common.
    pub fn meets(&self, other: &Prefix) -> bool {
        self.has(other.addr) || other.has(self.addr)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// A text member, unless the text is empty.
fn text(key: &str, value: &str) -> Option<(String, Json)> {
    (!value.is_empty()).then(|| (key.to_owned(), Json::from(value)))
}

#[cfg(test)]
mod tests;
