//! CHECK of tuning sees whatever was changed behind its back.

use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::ensure;
use crate::kernel::script;

/// What is configured in these cases.
fn conf() -> Value {
    json!({
        "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true, "txQLen": 77,
        "sysctl": {
            "net.ipv4.conf.IFNAME.arp_filter": "1",
            "net.core.somaxconn": "500",
            "net.ipv4.ip_local_port_range": "1024\t65000",
            "net.ipv4.tcp_rmem": "4096\t87380\t6291456",
            "net.ipv6.conf.IFNAME.accept_ra": "0",
            "net.ipv4.tcp_syncookies": "2",
            "net.ipv4.ping_group_range": "0\t100",
        },
    })
}

/// What was changed, and the command in the pod that changes it.
const DRIFTS: [(&str, &str); 22] = [
    ("the MTU is smaller", "ip link set eth0 mtu 1399"),
    ("the MTU is larger", "ip link set eth0 mtu 1500"),
    (
        "the hardware address is another",
        "ip link set eth0 address 02:aa:00:00:00:06",
    ),
    (
        "the transmit queue length is larger",
        "ip link set eth0 txqueuelen 78",
    ),
    (
        "the transmit queue length is 0",
        "ip link set eth0 txqueuelen 0",
    ),
    ("promisc is off", "ip link set eth0 promisc off"),
    ("allmulti is off", "ip link set eth0 allmulticast off"),
    (
        "a sysctl of the interface is another",
        "echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_filter",
    ),
    (
        "a sysctl of the namespace is larger",
        "echo 501 > /proc/sys/net/core/somaxconn",
    ),
    (
        "a sysctl of the namespace is smaller",
        "echo 5 > /proc/sys/net/core/somaxconn",
    ),
    (
        "the first number of a sysctl is another",
        "echo 1025 65000 > /proc/sys/net/ipv4/ip_local_port_range",
    ),
    (
        "the second number of a sysctl is another",
        "echo 1024 65001 > /proc/sys/net/ipv4/ip_local_port_range",
    ),
    (
        "the first of three numbers is another",
        "echo 4097 87380 6291456 > /proc/sys/net/ipv4/tcp_rmem",
    ),
    (
        "the middle of three numbers is another",
        "echo 4096 87381 6291456 > /proc/sys/net/ipv4/tcp_rmem",
    ),
    (
        "the last of three numbers is another",
        "echo 4096 87380 6291457 > /proc/sys/net/ipv4/tcp_rmem",
    ),
    (
        "an IPv6 sysctl of the interface is another",
        "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra",
    ),
    (
        "a switch with three positions is another",
        "echo 1 > /proc/sys/net/ipv4/tcp_syncookies",
    ),
    (
        "a range of groups is another",
        "echo 0 101 > /proc/sys/net/ipv4/ping_group_range",
    ),
    ("the interface is gone", "ip link del eth0"),
    (
        "the interface has another name",
        "ip link set eth0 down; ip link set eth0 name eth1",
    ),
    (
        "the interface was made again",
        "ip link del eth0; ip link add eth0 type veth peer name x; ip link set eth0 up",
    ),
    (
        "promisc is off and allmulti is off",
        "ip link set eth0 promisc off allmulticast off",
    ),
];

/// Cases of drift.
pub fn cases(table: &mut Table) {
    for (name, drift) in DRIFTS {
        table.case(format!("CHECK fails when {name}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.request(conf()).added()?;
            request.check()?.ok()?;
            script(&pods.net.containers[0], drift)?;
            request.check()?.error().map(drop)
        });
    }
    table.case(
        "CHECK fails when promisc is off while a sniffer keeps the interface promiscuous",
        |lab| {
            let pods = lab.pod()?;
            let pod = &pods.net.containers[0];
            let request = pods.request(json!({"promisc": true})).added()?;
            let _sniffer = super::super::tuning::pass::Sniffer::start(pod)?;
            script(pod, "ip link set eth0 promisc off")?;
            request.check()?.drift()
        },
    );
    table.case(
        "CHECK fails when the result of a later plugin is right and the kernel is not",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(json!({"mac": "02:aa:00:00:00:05"})).added()?;
            script(
                &pods.net.containers[0],
                "ip link set eth0 address 02:00:00:00:00:0c",
            )?;
            request.check()?.drift()
        },
    );
    table.case("CHECK names object, expected and actual of every drift", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(conf()).added()?;
        script(
            &pods.net.containers[0],
            "ip link set eth0 mtu 1399; ip link set eth0 txqueuelen 78; echo 501 > /proc/sys/net/core/somaxconn",
        )?;
        let error = request.check()?.error()?;
        let text = error.value.to_string();
        for word in ["1399", "1400", "77", "78", "501", "500", "somaxconn", "mtu", "eth0"] {
            ensure(text.contains(word), || format!("{word} is not in {text}"))?;
        }
        Ok(())
    });
    table.case("CHECK changes nothing", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(conf()).added()?;
        script(&pods.net.containers[0], "ip link set eth0 mtu 1399")?;
        let before = pods.state()?;
        request.check()?.drift()?;
        pods.unchanged(&before)
    });
    table.case("CHECK passes again after the drift was put right", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(conf()).added()?;
        script(&pods.net.containers[0], "ip link set eth0 mtu 1399")?;
        request.check()?.drift()?;
        script(&pods.net.containers[0], "ip link set eth0 mtu 1400")?;
        request.check()?.silent()
    });
}
