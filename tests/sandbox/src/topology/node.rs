//! One machine or container of a picture.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;

use crate::namespace::Namespace;

/// A namespace with a name and addresses. Dereferences to its [`Namespace`].
#[derive(Debug)]
pub struct Node {
    /// What it is called in messages: `host`, `container 0`, `client`, `server`.
    pub name: String,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its interface: `eth0`, or on the host the one that holds the address below.
    pub interface: String,
    /// The host's end of that interface (`veth0`, `out0`); for the host itself the interface again.
    pub host_interface: String,
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address.
    pub ipv6: Ipv6Addr,
}

impl Node {
    pub(super) fn new(
        namespace: Namespace,
        name: &str,
        interface: &str,
        ipv4: Ipv4Addr,
        ipv6: Ipv6Addr,
    ) -> Self {
        let (name, interface) = (name.to_owned(), interface.to_owned());
        Self {
            name,
            namespace,
            host_interface: interface.clone(),
            interface,
            ipv4,
            ipv6,
        }
    }

    pub(super) fn with_host_interface(self, name: &str) -> Self {
        Self {
            host_interface: name.to_owned(),
            ..self
        }
    }

    /// Its IPv4 address with a port.
    #[must_use]
    pub fn v4(&self, port: u16) -> SocketAddr {
        (self.ipv4, port).into()
    }

    /// Its IPv6 address with a port.
    #[must_use]
    pub fn v6(&self, port: u16) -> SocketAddr {
        (self.ipv6, port).into()
    }

    /// Both of its addresses with a port, for a test that does the same over IPv4 and IPv6.
    #[must_use]
    pub fn both(&self, port: u16) -> [SocketAddr; 2] {
        [self.v4(port), self.v6(port)]
    }
}

impl Deref for Node {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

/// A namespace whose links to come have no duplicate address detection and no reverse path filter,
/// whatever the machine's defaults are.
pub(super) fn namespace() -> io::Result<Namespace> {
    let namespace = Namespace::new()?;
    for scope in ["all", "default"] {
        namespace.set_sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
        namespace.set_sysctl(&format!("net.ipv6.conf.{scope}.accept_dad"), "0")?;
        namespace.set_sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "0")?;
    }
    Ok(namespace)
}

/// The destination of a default route, in the family of `like`.
pub(super) fn everywhere(like: IpAddr) -> (IpAddr, u8) {
    match like {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), 0),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}
