//! The values that the kernel is to have.

use std::fmt;

use common::CniResult;
use common::sys::link::{Change, Link};
use common::version::Version;

use crate::attribute;
use crate::config::{Config, Setting};
use crate::offload::{Side, Wish};
use crate::sysctl::Name;

/// The least MTU of IPv6 in bytes (RFC 8200 section 5).
const LEAST_OF_IPV6: u32 = 1280;

/// What ADD sets, in this order: sysctls, then the link's attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order written.
    pub sysctls: Vec<Setting>,
    /// In the reference's order.
    pub link: Vec<Change>,
    /// Offloads, last.
    pub offloads: Vec<Wish>,
}

impl Plan {
    /// The plan of a configuration.
    pub fn new(config: Config) -> Plan {
        let Config {
            sysctls,
            mac,
            mtu,
            promisc,
            allmulti,
            txqlen,
            offloads,
            requires_allowlist: _,
            data_dir: _,
        } = config;
        let link = [
            mac.map(Change::Mac),
            promisc.then_some(Change::Promisc(true)),
            mtu.map(Change::Mtu),
            allmulti.map(Change::Allmulti),
            txqlen.map(Change::TxQLen),
        ];
        Plan {
            sysctls,
            offloads,
            link: link.into_iter().flatten().collect(),
        }
    }

    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        self.sysctls.is_empty() && self.link.is_empty() && self.offloads.is_empty()
    }

    /// Whether the MTU of the plan, which the link has, took a sysctl away: with less than [`LEAST_OF_IPV6`] an
    /// interface has no IPv6 (`addrconf_notify` in net/ipv6/addrconf.c).
    pub fn has_taken_away(&self, name: &Name, link: Option<&Link>) -> bool {
        let is_small = |change: &Change| matches!(change, Change::Mtu(mtu) if *mtu < LEAST_OF_IPV6);
        let is_of = |link: &Link| link.mtu < LEAST_OF_IPV6 && name.is_of_ipv6_on(&link.name);
        self.link.iter().any(is_small) && link.is_some_and(is_of)
    }

    /// The sides that have offloads to switch.
    pub fn sides(&self) -> Vec<Side> {
        let is_wanted = |side: &Side| self.offloads.iter().any(|wish| wish.side == *side);
        Side::ALL.into_iter().filter(is_wanted).collect()
    }

    /// Writes the new MAC, and from 1.1.0 on the new MTU, into what the chain's result says of the
    /// container's interface.
    pub fn show_in(&self, result: &mut CniResult, ifname: &str, version: Version) {
        let own = result.container_interface(ifname);
        if let Some(interface) = own.and_then(|index| result.interfaces.get_mut(index)) {
            for change in &self.link {
                match change {
                    Change::Mac(mac) => interface.mac = mac.to_string(),
                    Change::Mtu(mtu) if version >= Version::V110 => {
                        interface.mtu = Some(i64::from(*mtu));
                    }
                    _ => {}
                }
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { name, value, .. } in &self.sysctls {
            writeln!(f, "sysctl {} = {value}", name.text())?;
        }
        for wish in &self.offloads {
            let on = if wish.on { "on" } else { "off" };
            writeln!(f, "{} {} {on}", wish.side.key(), wish.written)?;
        }
        for change in &self.link {
            writeln!(
                f,
                "link {} {}",
                attribute::name(*change),
                attribute::value(*change)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::netconf::Unversioned;
    use common::request::Environment;

    /// The plan of a configuration's keys for eth0, as it prints.
    fn plan(keys: &str, cni_args: &str) -> String {
        let env = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "a"),
            ("CNI_NETNS", "/n"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/x"),
            ("CNI_ARGS", cni_args),
        ];
        let get = |name: &str| env.iter().find(|(key, _)| *key == name);
        let environment =
            Environment::read(|name| get(name).map(|(_, v)| (*v).to_owned())).unwrap();
        let stdin = format!(r#"{{"cniVersion":"1.0.0","name":"n"{keys}}}"#);
        let conf = Unversioned::parse(stdin.as_bytes()).unwrap();
        let request = environment.request(conf.supported(Version::ALL).unwrap());
        Plan::new(Config::parse(&request).unwrap()).to_string()
    }

    #[test]
    fn a_plan_has_sysctls_in_the_order_written_and_attributes_in_the_reference_s() {
        let keys = r#","txQLen":0,"allmulti":false,"mtu":1400,"promisc":true,
            "mac":"02-AA-00-00-00-05",
            "sysctl":{"net.ipv4.ip_forward":" 1 ","net.core.somaxconn":"500",
                      "net.ipv4.conf.IFNAME.arp_filter":"1"}"#;
        let expected = "sysctl net/ipv4/ip_forward = 1\n\
                        sysctl net/core/somaxconn = 500\n\
                        sysctl net/ipv4/conf/eth0/arp_filter = 1\n\
                        link mac 02:aa:00:00:00:05\n\
                        link promisc on\n\
                        link mtu 1400\n\
                        link allmulti off\n\
                        link txqlen 0\n";
        assert_eq!(plan(keys, ""), expected);
    }

    #[test]
    fn what_is_not_configured_is_not_planned() {
        for keys in [
            "",
            r#","mtu":0,"mac":"","promisc":false,"sysctl":{}"#,
            r#","mtu":null,"mac":null,"promisc":null,"allmulti":null,"txQLen":null,
               "sysctl":{"net.core.somaxconn":null},"args":null,"runtimeConfig":null"#,
            r#","mtu":1400,"promisc":true,"mac":"02:00:00:00:00:01",
               "args":{"cni":{"mtu":0,"promisc":false,"mac":""}}"#,
        ] {
            assert_eq!(plan(keys, "MAC="), "", "{keys}");
        }
    }

    #[test]
    fn args_keep_the_place_of_what_they_override() {
        let keys = r#","sysctl":{"net.core.somaxconn":"1","net.ipv4.ip_forward":"1"},
            "args":{"cni":{"sysctl":{"net.ipv4.tcp_sack":"0","net/core/somaxconn":"2"}}}"#;
        let expected = "sysctl net/core/somaxconn = 2\n\
                        sysctl net/ipv4/ip_forward = 1\n\
                        sysctl net/ipv4/tcp_sack = 0\n";
        assert_eq!(plan(keys, ""), expected);
    }
}
