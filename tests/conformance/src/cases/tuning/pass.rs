//! CHECK of tuning passes whatever means the same.

use sandbox::Namespace;
use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::{Failure, fail};
use crate::kernel::{link, script};

/// Configurations that ADD takes and CHECK must then accept.
fn shapes() -> Vec<(&'static str, Value)> {
    let sysctl = |key: &str, value: &str| json!({"sysctl": {key: value}});
    vec![
        ("nothing configured", json!({})),
        ("an MTU", json!({"mtu": 1400})),
        ("an MTU of 0, which means none", json!({"mtu": 0})),
        ("an upper-case MAC", json!({"mac": "02:AA:BB:CC:DD:05"})),
        ("a MAC with dashes", json!({"mac": "02-aa-bb-cc-dd-05"})),
        ("a MAC with dots", json!({"mac": "02aa.bbcc.dd05"})),
        ("an empty MAC", json!({"mac": ""})),
        ("promisc", json!({"promisc": true})),
        ("promisc false", json!({"promisc": false})),
        ("allmulti", json!({"allmulti": true})),
        ("allmulti false", json!({"allmulti": false})),
        ("a transmit queue length", json!({"txQLen": 10})),
        ("a transmit queue length of 0", json!({"txQLen": 0})),
        ("a sysctl", sysctl("net.core.somaxconn", "500")),
        ("an empty list of sysctls", json!({"sysctl": {}})),
        (
            "a sysctl with a leading zero",
            sysctl("net.ipv4.conf.IFNAME.arp_filter", "01"),
        ),
        (
            "a sysctl with a trailing blank",
            sysctl("net.core.somaxconn", "500 "),
        ),
        (
            "a sysctl with a trailing newline",
            sysctl("net.core.somaxconn", "500\n"),
        ),
        (
            "a sysctl with a leading blank",
            sysctl("net.core.somaxconn", " 500"),
        ),
        (
            "a sysctl in hexadecimal",
            sysctl("net.core.somaxconn", "0x1f4"),
        ),
        (
            "two numbers with a blank",
            sysctl("net.ipv4.ip_local_port_range", "1024 65000"),
        ),
        (
            "two numbers with a tab",
            sysctl("net.ipv4.ip_local_port_range", "1024\t65000"),
        ),
        (
            "two numbers with many blanks",
            sysctl("net.ipv4.ip_local_port_range", "1024  \t 65000"),
        ),
        (
            "three numbers with blanks",
            sysctl("net.ipv4.tcp_rmem", "4096 87380 6291456"),
        ),
        (
            "a sysctl that can only be written",
            sysctl("net.ipv4.route.flush", "1"),
        ),
        (
            "a list of ports",
            sysctl("net.ipv4.ip_local_reserved_ports", "8080,9000-9010"),
        ),
        (
            "a list of ports in another order",
            sysctl("net.ipv4.ip_local_reserved_ports", "9000-9010,8080"),
        ),
        ("a sysctl with slashes", sysctl("net/core/somaxconn", "500")),
        (
            "everything at once",
            json!({"mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true,
            "allmulti": true, "txQLen": 9, "sysctl": {"net.core.somaxconn": "500"}}),
        ),
    ]
}

/// Harmless changes by others, as commands in the pod.
const HARMLESS: [(&str, &str); 9] = [
    ("an address is added", "ip addr add 10.22.0.77/16 dev eth0"),
    (
        "a route is added",
        "ip route add 192.0.2.0/24 via 10.22.0.1",
    ),
    ("the interface is down", "ip link set eth0 down"),
    (
        "the interface has an alias",
        "ip link set eth0 alias somebody",
    ),
    (
        "the interface has a qdisc",
        "tc qdisc add dev eth0 root pfifo",
    ),
    (
        "another interface comes",
        "ip link add x1 type veth peer name x2",
    ),
    (
        "another sysctl is changed",
        "echo 60 > /proc/sys/net/ipv4/ip_default_ttl",
    ),
    (
        "allmulti, which is not configured, is on",
        "ip link set eth0 allmulticast on",
    ),
    (
        "promisc, which is not configured, is on",
        "ip link set eth0 promisc on",
    ),
];

/// Cases in which CHECK passes.
pub fn cases(table: &mut Table) {
    for (name, conf) in shapes() {
        table.case(format!("CHECK passes after ADD with {name}"), move |lab| {
            let pods = lab.pod()?;
            pods.request(conf.clone()).added()?.check()?.silent()
        });
    }
    for (name, change) in HARMLESS {
        table.case(format!("CHECK passes when {name}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods
                .request(json!({"mtu": 1400, "mac": "02:aa:00:00:00:05"}))
                .added()?;
            script(&pods.net.containers[0], change)?;
            request.check()?.silent()
        });
    }
    table.case(
        "CHECK passes when a sniffer made the interface promiscuous",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(json!({"mtu": 1400})).added()?;
            let _sniffer = Sniffer::start(&pods.net.containers[0])?;
            request.check()?.silent()
        },
    );
    table.case("CHECK passes with promisc false and a sniffer", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(json!({"promisc": false})).added()?;
        let _sniffer = Sniffer::start(&pods.net.containers[0])?;
        request.check()?.silent()
    });
    table.case("CHECK passes with promisc true and a sniffer", |lab| {
        let pods = lab.pod()?;
        let _sniffer = Sniffer::start(&pods.net.containers[0])?;
        pods.request(json!({"promisc": true}))
            .added()?
            .check()?
            .silent()
    });
    table.case("CHECK passes for two tunings in one chain", |lab| {
        let pods = lab.pod()?;
        let first = pods.request(json!({"mtu": 1400})).added()?;
        let second = first
            .clone()
            .without("mtu")
            .with(json!({"txQLen": 5}))
            .added()?;
        first.check()?.silent()?;
        second.check()?.silent()
    });
}

/// Somebody who holds the pod's interface promiscuous without its flag, as tcpdump does: a bridge port.
/// A packet socket would need code in here; a macvlan in passthru mode needs none.
pub struct Sniffer;

impl Sniffer {
    /// Makes `eth0` promiscuous and waits until it shows.
    pub fn start(pod: &Namespace) -> Result<Self, Failure> {
        script(
            pod,
            "ip link add sniffer link eth0 type macvlan mode passthru && ip link set sniffer up",
        )?;
        let link = link(pod, "eth0")?;
        if link["promiscuity"].as_u64().unwrap_or(0) == 0 {
            return fail("the sniffer did not make eth0 promiscuous");
        }
        Ok(Self)
    }
}
