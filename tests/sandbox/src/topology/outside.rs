//! Machines outside of the host.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::link::{self, End};
use crate::namespace::Namespace;
use crate::topology::node::{self, Node};

/// A machine on a network of its own with the host: 10.N.0.0/24 and fdN::/64, .1 the host, .2 the machine.
pub(super) struct Outside {
    name: &'static str,
    /// The host's end of the link to it.
    pub(super) link: &'static str,
    /// The number of its IPv4 network.
    v4: u8,
    /// The number of its IPv6 network.
    v6: u16,
}

pub(super) const CLIENT: Outside = Outside {
    name: "client",
    link: "out0",
    v4: 99,
    v6: 0xfd99,
};
pub(super) const SERVER: Outside = Outside {
    name: "server",
    link: "out1",
    v4: 98,
    v6: 0xfd98,
};

impl Outside {
    /// The host's addresses on this network.
    pub(super) const fn host(&self) -> (Ipv4Addr, Ipv6Addr) {
        self.address(1)
    }

    const fn address(&self, last: u8) -> (Ipv4Addr, Ipv6Addr) {
        (
            Ipv4Addr::new(10, self.v4, 0, last),
            Ipv6Addr::new(self.v6, 0, 0, 0, 0, 0, 0, last as u16),
        )
    }

    /// Makes the machine and links it to the host.
    pub(super) fn attach(&self, host: &Namespace) -> io::Result<Node> {
        let machine = node::namespace()?;
        let (gateway, own) = (self.host(), self.address(2));
        link::netlink(host, async |handle| {
            let here = End {
                name: self.link,
                mac: [2, 0, 0, self.v4, 0, 0x0a],
            };
            let there = End {
                name: "eth0",
                mac: [2, 0, 0, self.v4, 0, 0x0c],
            };
            link::add_veth(&handle, here, there, &machine).await?;
            link::set_up(&handle, self.link).await?;
            link::add_address(&handle, self.link, (gateway.0.into(), 24), true).await?;
            link::add_address(&handle, self.link, (gateway.1.into(), 64), true).await
        })?;
        let families: [(IpAddr, u8, IpAddr); 2] = [
            (own.0.into(), 24, gateway.0.into()),
            (own.1.into(), 64, gateway.1.into()),
        ];
        link::netlink(&machine, async |handle| {
            link::set_up(&handle, "eth0").await?;
            for (ip, length, gateway) in families {
                link::add_address(&handle, "eth0", (ip, length), true).await?;
                link::add_route(&handle, "eth0", node::everywhere(gateway), Some(gateway)).await?;
            }
            Ok(())
        })?;
        Ok(Node::new(machine, self.name, "eth0", own.0, own.1).with_host_interface(self.link))
    }
}
