//! What both ends of the pair get, as plain data.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use common::mac::Mac;
use common::result::{Interface, IpConfig, Prefix};
use common::{Attachment, CniResult, Family, result};

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
    pub forward: BTreeSet<Family>,
    addresses: Vec<Address>,
}

/// One end.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The name of the link.
    pub name: String,
    /// `None`: the kernel chooses.
    pub mac: Option<Mac>,
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
        let Config { addresses, mac } = config;
        let mut plan = Self {
            host: End::new(host_name(attachment), None),
            container: End::new(attachment.ifname.clone(), *mac),
            alias: alias(&attachment.network),
            forward: BTreeSet::new(),
            addresses: addresses.clone(),
        };
        addresses.iter().for_each(|address| plan.address(address));
        for (dst, via) in defaults(addresses) {
            plan.container.route(dst, Some(via));
        }
        plan
    }

    fn address(&mut self, Address { prefix, gateway }: &Address) {
        let Plan {
            host, container, ..
        } = self;
        container.addresses.push(OwnAddress {
            prefix: *prefix,
            prefix_route: gateway.is_none(),
        });
        host.route(Prefix::whole(prefix.addr), None);
        let Some(gateway) = *gateway else { return };
        let own = OwnAddress {
            prefix: Prefix::whole(gateway),
            prefix_route: true,
        };
        if !host.addresses.contains(&own) {
            host.addresses.push(own);
        }
        container.route(Prefix::whole(gateway), None);
        container.route(prefix.network(), Some(gateway));
        self.forward.insert(Family::of(gateway));
    }

    /// What CHECK may expect: plugins after this one may have given the container's end another
    /// address, which the chain's result has.
    pub fn after_chain(mut self, result: &CniResult) -> Self {
        let name = &self.container.name;
        let ours = |interface: &&Interface| interface.is_in_sandbox() && interface.name == *name;
        let now = result.interfaces.iter().find(ours);
        self.container.mac = now.and_then(|interface| Mac::from_text(&interface.mac));
        self
    }

    /// The result of ADD, with the addresses the links have.
    pub fn result(&self, (host_mac, container_mac): &(Mac, Mac), netns: &Path) -> CniResult {
        let interface = |end: &End, mac: &Mac, sandbox: String| Interface {
            name: end.name.clone(),
            mac: mac.to_string(),
            sandbox,
            ..Interface::default()
        };
        let ip = |address: &Address| IpConfig {
            address: address.prefix,
            gateway: address.gateway,
            interface: Some(1),
            extra: Vec::new(),
        };
        let route = |(dst, _): (Prefix, IpAddr)| result::Route {
            dst,
            gw: None,
            rest: Vec::new(),
        };
        CniResult {
            interfaces: vec![
                interface(&self.host, host_mac, String::new()),
                interface(&self.container, container_mac, netns.display().to_string()),
            ],
            ips: self.addresses.iter().map(ip).collect(),
            routes: defaults(&self.addresses).map(route).collect(),
            ..CniResult::default()
        }
    }
}

impl End {
    fn new(name: String, mac: Option<Mac>) -> Self {
        Self {
            name,
            mac,
            addresses: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Two addresses of one subnet share their routes.
    fn route(&mut self, dst: Prefix, via: Option<IpAddr>) {
        let route = Route { dst, via };
        if !self.routes.contains(&route) {
            self.routes.push(route);
        }
    }
}

/// The default route of each family that has a gateway: through the first one.
fn defaults(addresses: &[Address]) -> impl Iterator<Item = (Prefix, IpAddr)> {
    let everywhere: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    everywhere.into_iter().filter_map(|addr| {
        let mut gateways = addresses.iter().filter_map(|address| address.gateway);
        let via = gateways.find(|gateway| gateway.is_ipv4() == addr.is_ipv4())?;
        Some((Prefix { addr, len: 0 }, via))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_goes_through_the_gateway_and_the_gateway_is_the_host() {
        let prefix = |text| Prefix::from_text(text).unwrap();
        let config = Config {
            addresses: vec![Address {
                prefix: prefix("10.9.0.2/24"),
                gateway: "10.9.0.1".parse().ok(),
            }],
            mac: None,
        };
        let owner = Attachment {
            network: "n".into(),
            container: "c".into(),
            ifname: "eth0".into(),
        };
        let plan = Plan::new(&config, &owner);
        let routes = |end: &End| -> Vec<String> {
            let via = |via: Option<IpAddr>| via.map_or("-".into(), |via| via.to_string());
            let routes = end.routes.iter();
            routes
                .map(|r| format!("{} {}", r.dst, via(r.via)))
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
        assert_eq!(plan.forward, [Family::V4].into());
        assert_eq!(plan.host.name.len(), 15);
    }
}
