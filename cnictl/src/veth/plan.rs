//! What both ends of the pair get, as plain data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use common::mac::Mac;
use common::result::{Interface, IpConfig, Prefix};
use common::{Attachment, CniResult, result};

use super::config::{Address, Config};

/// A pair of links, with addresses and routes in the order in which the kernel takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The host's end.
    pub host: End,
    /// The container's end.
    pub container: End,
    /// The alias of the host's end.
    pub alias: String,
    /// The families whose packets the host must forward.
    pub forward: Vec<Family>,
    addresses: Vec<Address>,
    asked_routes: Vec<(Prefix, Option<IpAddr>)>,
}

/// One end.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The name of the link.
    pub name: String,
    /// `None`: the kernel chooses.
    pub mac: Option<Mac>,
    /// In bytes; `None`: the kernel's default.
    pub mtu: Option<u32>,
    /// Its addresses.
    pub addresses: Vec<OwnAddress>,
    /// Routes through it.
    pub routes: Vec<Route>,
}

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddress {
    /// Address and length.
    pub prefix: Prefix,
    /// Whether the kernel makes a route to the prefix by itself.
    pub prefix_route: bool,
}

/// A route through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The destination, without host bits.
    pub dst: Prefix,
    /// `None`: on the link.
    pub via: Option<IpAddr>,
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// The host's end belongs to one attachment alone, and is found again by it.
pub fn host_name(attachment: &Attachment) -> String {
    attachment.exact_name("veth", 15)
}

/// The alias that marks the host's ends of a network.
pub fn alias(network: &str) -> String {
    format!("cnictl veth of network {network}")
}

impl Plan {
    /// Pure: the same configuration and attachment give the same plan.
    pub fn new(config: &Config, attachment: &Attachment) -> Self {
        let Config {
            addresses,
            routes,
            mac,
            host_mac,
            mtu,
        } = config;
        let asked_routes = routes.clone().unwrap_or_else(|| default_routes(addresses));
        let mut plan = Self {
            host: End::new(host_name(attachment), *host_mac, *mtu),
            container: End::new(attachment.ifname.clone(), *mac, *mtu),
            alias: alias(&attachment.network),
            forward: Vec::new(),
            addresses: addresses.clone(),
            asked_routes: asked_routes.clone(),
        };
        addresses.iter().for_each(|address| plan.address(address));
        for (dst, gw) in asked_routes {
            let via = gw.or_else(|| gateway(addresses, dst.addr));
            plan.container.route(Route {
                dst: network(dst),
                via,
            });
        }
        plan
    }

    fn address(&mut self, Address { prefix, gateway }: &Address) {
        let prefix_route = gateway.is_none();
        self.container.addresses.push(OwnAddress {
            prefix: *prefix,
            prefix_route,
        });
        if let Some(gateway) = *gateway {
            let via_host = OwnAddress {
                prefix: single(gateway),
                prefix_route: true,
            };
            if !self.host.addresses.contains(&via_host) {
                self.host.addresses.push(via_host);
            }
            self.container.route(Route {
                dst: single(gateway),
                via: None,
            });
            self.container.route(Route {
                dst: network(*prefix),
                via: Some(gateway),
            });
            let family = if gateway.is_ipv4() {
                Family::V4
            } else {
                Family::V6
            };
            if !self.forward.contains(&family) {
                self.forward.push(family);
            }
        }
        self.host.route(Route {
            dst: single(prefix.addr),
            via: None,
        });
    }

    /// What CHECK may expect: plugins after this one may have given the container's end another
    /// address, which the chain's result has, or another MTU, which it has from 1.1.0 on.
    pub fn after_chain(mut self, result: &CniResult) -> Self {
        let name = &self.container.name;
        let ours = |interface: &&Interface| interface.is_in_sandbox() && interface.name == *name;
        let now = result.interfaces.iter().find(ours);
        self.container.mac = now.and_then(|interface| Mac::from_text(&interface.mac));
        self.container.mtu = now.and_then(|interface| u32::try_from(interface.mtu?).ok());
        self
    }

    /// The result of ADD, with the addresses the links have.
    pub fn result(&self, (host_mac, container_mac): &(Mac, Mac), netns: &Path) -> CniResult {
        let interface = |end: &End, mac: &Mac, sandbox: String| Interface {
            name: end.name.clone(),
            mac: mac.to_string(),
            mtu: end.mtu.map(i64::from),
            sandbox,
            ..Interface::default()
        };
        let ip = |address: &Address| IpConfig {
            address: address.prefix,
            gateway: address.gateway,
            interface: Some(1),
            extra: Vec::new(),
        };
        let route = |(dst, gw): &(Prefix, Option<IpAddr>)| result::Route {
            dst: *dst,
            gw: *gw,
            rest: Vec::new(),
        };
        CniResult {
            interfaces: vec![
                interface(&self.host, host_mac, String::new()),
                interface(&self.container, container_mac, netns.display().to_string()),
            ],
            ips: self.addresses.iter().map(ip).collect(),
            routes: self.asked_routes.iter().map(route).collect(),
            ..CniResult::default()
        }
    }
}

impl End {
    fn new(name: String, mac: Option<Mac>, mtu: Option<u32>) -> Self {
        Self {
            name,
            mac,
            mtu,
            addresses: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Two addresses of one subnet share their routes.
    fn route(&mut self, route: Route) {
        if !self.routes.contains(&route) {
            self.routes.push(route);
        }
    }
}

fn default_routes(addresses: &[Address]) -> Vec<(Prefix, Option<IpAddr>)> {
    let everywhere = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let with_gateway = everywhere
        .into_iter()
        .filter(|addr| gateway(addresses, *addr).is_some());
    with_gateway
        .map(|addr| (Prefix { addr, len: 0 }, None))
        .collect()
}

/// The first gateway of the family.
fn gateway(addresses: &[Address], of: IpAddr) -> Option<IpAddr> {
    addresses
        .iter()
        .filter_map(|address| address.gateway)
        .find(|gateway| gateway.is_ipv4() == of.is_ipv4())
}

fn single(addr: IpAddr) -> Prefix {
    Prefix {
        addr,
        len: if addr.is_ipv4() { 32 } else { 128 },
    }
}

/// The prefix without host bits, as routes want it.
fn network(Prefix { addr, len }: Prefix) -> Prefix {
    let addr = match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(len.min(32)))
                .unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(len.min(128)))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    };
    Prefix { addr, len }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::from_text(text).unwrap()
    }

    #[test]
    fn host_bits_are_cut_off() {
        let table = [
            ("10.9.8.7/0", "0.0.0.0/0"),
            ("10.9.8.7/20", "10.9.0.0/20"),
            ("10.9.8.7/32", "10.9.8.7/32"),
            ("fd00::7/64", "fd00::/64"),
            ("fd00::7/0", "::/0"),
        ];
        for (text, expected) in table {
            assert_eq!(network(prefix(text)).to_string(), expected);
        }
    }

    #[test]
    fn everything_goes_through_the_gateway_and_the_gateway_is_the_host() {
        let config = Config {
            addresses: vec![Address {
                prefix: prefix("10.9.0.2/24"),
                gateway: "10.9.0.1".parse().ok(),
            }],
            routes: None,
            mac: None,
            host_mac: None,
            mtu: None,
        };
        let owner = Attachment {
            network: "n".into(),
            container: "c".into(),
            ifname: "eth0".into(),
        };
        let plan = Plan::new(&config, &owner);
        let routes = |end: &End| -> Vec<String> {
            end.routes
                .iter()
                .map(|r| {
                    format!(
                        "{} {}",
                        r.dst,
                        r.via.map_or("-".into(), |via| via.to_string())
                    )
                })
                .collect()
        };
        assert_eq!(
            routes(&plan.container),
            [
                "10.9.0.1/32 -",
                "10.9.0.0/24 10.9.0.1",
                "0.0.0.0/0 10.9.0.1"
            ]
        );
        assert_eq!(routes(&plan.host), ["10.9.0.2/32 -"]);
        assert_eq!(
            plan.host.addresses,
            [OwnAddress {
                prefix: prefix("10.9.0.1/32"),
                prefix_route: true
            }]
        );
        assert_eq!(plan.forward, [Family::V4]);
        assert_eq!(plan.host.name.len(), 15);
    }
}
