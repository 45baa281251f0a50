//! The network that the demo uses: what a list in /etc/cni/net.d would say.

use std::net::Ipv4Addr;

/// The pod's address.
pub const POD_IPV4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The port that the pod's server listens on.
pub const POD_PORT: u16 = 80;
/// The port of the node that leads there.
pub const HOST_PORT: u16 = 8080;
/// The limit towards the pod, in bits per second.
pub const LIMIT: u64 = 20_000_000;
/// The sysctls that are set.
pub const SYSCTLS: [&str; 2] = ["net/core/somaxconn", "net/ipv4/conf/IFNAME/arp_filter"];

/// What the pod wishes, as the runner's options.
pub fn wishes() -> [String; 4] {
    let publish = format!("{HOST_PORT}:{POD_PORT}");
    let ingress = format!("{}M", LIMIT / 1_000_000);
    ["--publish".into(), publish, "--ingress".into(), ingress]
}

/// The plugins' configurations, one a line.
pub fn plugins() -> [&'static str; 4] {
    [
        r#"{ "type": "veth", "addresses": [ { "address": "10.9.0.2/24", "gateway": "10.9.0.1" } ] }"#,
        r#"{ "type": "tuning", "mtu": 1400, "txQLen": 500, "sysctl": { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1" } }"#,
        r#"{ "type": "portmap", "capabilities": { "portMappings": true } }"#,
        r#"{ "type": "bandwidth", "capabilities": { "bandwidth": true } }"#,
    ]
}

/// The whole configuration list. `state` is where tuning keeps what it must restore.
pub fn conflist(state: &str) -> String {
    let plugins = plugins().join(",\n    ").replace(
        r#""type": "tuning","#,
        &format!(r#""type": "tuning", "dataDir": "{state}","#),
    );
    format!(
        "{{ \"cniVersion\": \"1.0.0\", \"name\": \"demo\", \"plugins\": [\n    {plugins}\n] }}\n"
    )
}
