//! The usual picture: a host with containers, and machines outside of it.
//!
//! ```text
//!  client 10.99.0.2 ──── 10.99.0.1 out0 ┐      ┌ veth0 10.22.0.1 ──── eth0 10.22.0.2  container 0
//!         fd99::2        fd99::1        ├ host ┤       fd00:22::1          fd00:22::2
//!  server 10.98.0.2 ──── 10.98.0.1 out1 ┘      └ veth1 10.22.0.1 ──── eth0 10.22.0.3  container 1
//!         fd98::2        fd98::1                       fd00:22::1          fd00:22::3
//! ```
//!
//! The host forwards; everybody's default route leads through it. With [`Topology::bridge`] the host's
//! ends are ports of one bridge which holds 10.22.0.1/16 and fd00:22::1/64.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::link::{self, End, Mac};
use crate::namespace::Namespace;

mod node;
mod outside;

pub use node::Node;

/// What the containers use as their gateway: the host's addresses towards them.
pub const GATEWAY: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 22, 0, 1),
    Ipv6Addr::new(0xfd00, 0x22, 0, 0, 0, 0, 0, 1),
);

/// MAC of a bridge. Those of veth ends: `02:00:00:00:<n>:0a` on the host, `02:00:00:00:<n>:0c` in container n.
const BRIDGE_MAC: Mac = [2, 0, 0, 0, 0, 0x0b];

/// What to build; see [`Topology::build`].
#[derive(Debug, Clone)]
pub struct Topology {
    containers: u8,
    bridge: Option<String>,
    hairpin: bool,
    client: bool,
    server: bool,
}

/// A built picture. Dropping it removes everything.
#[derive(Debug)]
pub struct Net {
    /// The machine the plugins run on. Its address is the one towards the client, if there is one,
    /// else the containers' gateway.
    pub host: Node,
    /// The containers, in order.
    pub containers: Vec<Node>,
    client: Option<Node>,
    server: Option<Node>,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            containers: 1,
            bridge: None,
            hairpin: false,
            client: false,
            server: false,
        }
    }
}

impl Topology {
    /// A host with one container on a plain veth pair.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With so many containers (at most 250).
    #[must_use]
    pub fn containers(mut self, count: u8) -> Self {
        self.containers = count.min(250);
        self
    }

    /// With the containers on a bridge of this name instead of point-to-point links.
    #[must_use]
    pub fn bridge(mut self, name: &str) -> Self {
        self.bridge = Some(name.to_owned());
        self
    }

    /// With the bridge's ports in hairpin mode: a frame may leave through the port it came in by.
    #[must_use]
    pub fn hairpin(mut self) -> Self {
        self.hairpin = true;
        self
    }

    /// With a machine outside, 10.99.0.2 and fd99::2.
    #[must_use]
    pub fn client(mut self) -> Self {
        self.client = true;
        self
    }

    /// With a second machine outside, 10.98.0.2 and fd98::2, which others reach through the host.
    #[must_use]
    pub fn server(mut self) -> Self {
        self.server = true;
        self
    }

    /// Builds the picture and waits until every link is ready for use.
    ///
    /// # Errors
    /// Without the rights (see [`crate::userns`]), or with what was tried on which link.
    pub fn build(&self) -> io::Result<Net> {
        let Self {
            containers,
            bridge,
            hairpin,
            client,
            server,
        } = self;
        let host = node::namespace()?;
        for forwarding in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            host.set_sysctl(forwarding, "1")?;
        }
        if let Some(bridge) = bridge {
            build_bridge(&host, bridge)?;
        }
        let containers = (0..*containers)
            .map(|number| attach(&host, number, bridge.as_deref(), *hairpin))
            .collect::<io::Result<Vec<_>>>()?;
        let client = client.then(|| outside::CLIENT.attach(&host)).transpose()?;
        let server = server.then(|| outside::SERVER.attach(&host)).transpose()?;
        let (ipv4, ipv6) = if client.is_some() {
            outside::CLIENT.host()
        } else {
            GATEWAY
        };
        let interface = if client.is_some() {
            outside::CLIENT.link
        } else {
            "veth0"
        };
        let host = Node::new(host, "host", interface, ipv4, ipv6);
        let net = Net {
            host,
            containers,
            client,
            server,
        };
        net.nodes()
            .try_for_each(|node| link::wait_until_ready(node))?;
        Ok(net)
    }
}

impl Net {
    /// The machine outside.
    ///
    /// # Panics
    /// When the picture was built without [`Topology::client`].
    #[must_use]
    #[expect(clippy::expect_used, reason = "a mistake in the test")]
    pub fn client(&self) -> &Node {
        self.client
            .as_ref()
            .expect("this topology was built without .client()")
    }

    /// The second machine outside.
    ///
    /// # Panics
    /// When the picture was built without [`Topology::server`].
    #[must_use]
    #[expect(clippy::expect_used, reason = "a mistake in the test")]
    pub fn server(&self) -> &Node {
        self.server
            .as_ref()
            .expect("this topology was built without .server()")
    }

    /// All nodes, the host first.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.host)
            .chain(&self.containers)
            .chain(&self.client)
            .chain(&self.server)
    }
}

fn build_bridge(host: &Namespace, name: &str) -> io::Result<()> {
    link::netlink(host, async |handle| {
        link::add_bridge(&handle, name, BRIDGE_MAC).await?;
        link::add_address(&handle, name, (GATEWAY.0.into(), 16), true).await?;
        link::add_address(&handle, name, (GATEWAY.1.into(), 64), true).await
    })
}

/// Makes container `number` and links it to the host. Point-to-point links get host routes and no route
/// to the prefix, as CNI's `ptp` does, so that several of them can share one gateway address.
fn attach(host: &Namespace, number: u8, bridge: Option<&str>, hairpin: bool) -> io::Result<Node> {
    let (name, veth) = (format!("container {number}"), format!("veth{number}"));
    let ipv4 = Ipv4Addr::new(10, 22, 0, number.saturating_add(2));
    let ipv6 = Ipv6Addr::new(0xfd00, 0x22, 0, 0, 0, 0, 0, u16::from(number) + 2);
    let prefixes: [(IpAddr, u8, IpAddr, u8); 2] = [
        (ipv4.into(), 16, GATEWAY.0.into(), 32),
        (ipv6.into(), 64, GATEWAY.1.into(), 128),
    ];
    let container = node::namespace()?;
    link::netlink(host, async |handle| {
        let here = End {
            name: &veth,
            mac: [2, 0, 0, 0, number, 0x0a],
        };
        let there = End {
            name: "eth0",
            mac: [2, 0, 0, 0, number, 0x0c],
        };
        link::add_veth(&handle, here, there, &container).await?;
        if let Some(bridge) = bridge {
            link::add_port(&handle, bridge, &veth, hairpin).await?;
        }
        link::set_up(&handle, &veth).await
    })?;
    link::netlink(&container, async |handle| {
        link::set_up(&handle, "eth0").await?;
        for (ip, length, gateway, all) in prefixes {
            link::add_address(&handle, "eth0", (ip, length), bridge.is_some()).await?;
            if bridge.is_none() {
                link::add_route(&handle, "eth0", (gateway, all), None).await?;
            }
            link::add_route(&handle, "eth0", node::everywhere(gateway), Some(gateway)).await?;
        }
        Ok(())
    })?;
    if bridge.is_none() {
        link::netlink(host, async |handle| {
            for (ip, _, gateway, all) in prefixes {
                link::add_address(&handle, &veth, (gateway, all), false).await?;
                link::add_route(&handle, &veth, (ip, all), None).await?;
            }
            Ok(())
        })?;
    }
    Ok(Node::new(container, &name, "eth0", ipv4, ipv6).with_host_interface(&veth))
}
