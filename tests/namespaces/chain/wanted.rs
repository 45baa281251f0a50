//! What a runtime asked of portmap and bandwidth for an interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sandbox::Node;
use serde_json::Value;

#[derive(Default)]
pub struct Wanted {
    pub mappings: Vec<Mapping>,
    /// Of every token bucket, in bytes per second.
    pub rates: Vec<u64>,
    /// The interface has an IPv6 address.
    pub ipv6: bool,
}

#[derive(Clone)]
pub struct Mapping {
    pub protocol: String,
    pub host_ip: Option<IpAddr>,
    pub host_port: u16,
    pub container_port: u16,
}

impl Mapping {
    /// All in the configuration of a portmap call.
    pub fn all_in(conf: &Value) -> Vec<Self> {
        let list = conf
            .pointer("/runtimeConfig/portMappings")
            .and_then(Value::as_array);
        list.into_iter().flatten().map(Self::new).collect()
    }

    fn new(mapping: &Value) -> Self {
        let port = |key: &str| u16::try_from(field(mapping, key).as_u64().unwrap()).unwrap();
        let text = |key: &str| {
            field(mapping, key)
                .as_str()
                .unwrap_or_default()
                .to_lowercase()
        };
        Self {
            protocol: text("protocol"),
            host_ip: text("hostIP").parse().ok(),
            host_port: port("hostPort"),
            container_port: port("containerPort"),
        }
    }

    /// Where a client reaches it.
    pub fn addresses(&self, host: &Node, ipv6: bool) -> Vec<SocketAddr> {
        let own = [IpAddr::V4(host.ipv4), IpAddr::V6(host.ipv6)];
        let hosts = match self.host_ip {
            Some(ip) if !ip.is_unspecified() => vec![ip],
            any => {
                let fits = |ip: &IpAddr| any.is_none_or(|any| any.is_ipv4() == ip.is_ipv4());
                own.into_iter().filter(fits).collect()
            }
        };
        let reachable = hosts.into_iter().filter(|ip| ipv6 || ip.is_ipv4());
        reachable.map(|ip| (ip, self.host_port).into()).collect()
    }
}

/// The rates in the configuration of a bandwidth call.
pub fn rates(conf: &Value) -> Vec<u64> {
    let asked = conf.pointer("/runtimeConfig/bandwidth");
    let rate = |key: &str| asked.and_then(|asked| field(asked, key).as_u64());
    let bits = ["ingressRate", "egressRate"].into_iter().filter_map(rate);
    bits.filter(|bits| *bits > 0).map(|bits| bits / 8).collect()
}

/// A field whatever its case: some clients write Go's names.
fn field<'a>(object: &'a Value, key: &str) -> &'a Value {
    let fields = object.as_object().unwrap();
    let found = fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(key));
    found.map_or(&Value::Null, |(_, value)| value)
}

/// Whether one reaches it only from the host itself.
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)
}
