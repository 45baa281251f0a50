//! `route_localnet` lets the node's loopback addresses reach pods; the guard keeps others out.

use std::net::UdpSocket;
use std::time::Duration;

use sandbox::Node;
use sandbox::probe::tcp;

use super::node::{
    Backend, Host, mapping, mapping_on, on_both_variants, on_every_backend, request,
};

on_every_backend!(
    what_listens_on_loopback_is_not_reached_from_outside,
    without_snat_the_switch_is_not_made,
    where_sysctls_are_read_only_ports_are_mapped_all_the_same_with_a_warning,
);

on_both_variants!(
    a_port_of_a_loopback_address_is_not_reached_by_neighbours,
    a_pod_does_not_speak_to_the_node_from_a_loopback_address,
);

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// Lets a neighbour send packets for 127.0.0.1 to the node, as an attacker on the same network would.
fn sends_to_loopback(node: &Node, gateway: &str) {
    node.sh([
        "ip",
        "route",
        "add",
        "127.0.0.1",
        "via",
        gateway,
        "dev",
        "eth0",
        "onlink",
        "table",
        "100",
    ]);
    node.sh([
        "ip",
        "rule",
        "add",
        "to",
        "127.0.0.1",
        "table",
        "100",
        "pref",
        "0",
    ]);
    node.sh(["ip", "rule", "del", "pref", "0", "table", "local"]);
    node.sh(["ip", "rule", "add", "pref", "1", "table", "local"]);
    for key in ["all", "eth0"] {
        node.set_sysctl(&format!("net.ipv4.conf.{key}.route_localnet"), "1")
            .unwrap();
    }
}

fn what_listens_on_loopback_is_not_reached_from_outside(backend: Backend) {
    let host = Host::usual(backend);
    let pod = host.pod();
    sends_to_loopback(pod, "10.22.0.1");
    let _secret = tcp::Server::start(&host.net.host, 6000, "secret").unwrap();
    let attack = || tcp::exchange_within(pod, (LOOPBACK, 6000).into(), Duration::from_millis(400));
    // That the attack works without the guard is what makes this a test.
    host.net
        .host
        .set_sysctl("net.ipv4.conf.veth0.route_localnet", "1")
        .unwrap();
    assert_eq!(attack().server(), Some("secret"), "{:?}", attack());
    host.net
        .host
        .set_sysctl("net.ipv4.conf.veth0.route_localnet", "0")
        .unwrap();

    let _tcp = tcp::Server::start(pod, 80, "pod").unwrap();
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    assert_eq!(
        host.net
            .host
            .sysctl("net.ipv4.conf.veth0.route_localnet")
            .unwrap(),
        "1"
    );
    assert_eq!(attack().server(), None);
    // The node itself still has its loopback addresses, and the mapped port on them.
    let here = tcp::exchange(&host.net.host, (LOOPBACK, 6000).into());
    assert_eq!(here.server(), Some("secret"), "{here:?}");
    host.run("DEL", &request);
    assert_eq!(attack().server(), None);
}

fn without_snat_the_switch_is_not_made(backend: Backend) {
    let host = Host::usual(backend);
    host.run(
        "ADD",
        &request(r#""snat":false,"#, &mapping("tcp", 8080, 80)),
    );
    assert_eq!(
        host.net
            .host
            .sysctl("net.ipv4.conf.veth0.route_localnet")
            .unwrap(),
        "0"
    );
}

/// As in a runtime's container that has /proc/sys read-only.
fn where_sysctls_are_read_only_ports_are_mapped_all_the_same_with_a_warning(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    let script = "exec unshare --mount sh -c 'mount --bind /proc/sys /proc/sys && \
         mount -o remount,bind,ro /proc/sys && exec PLUGIN'";
    let added = host.ok(&host.call_by_script(script, "ADD", &request));
    assert!(
        added.stderr.contains("route_localnet is read-only"),
        "{added:?}"
    );
    let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let answer = tcp::exchange(host.net.client(), host.net.host.v4(8080));
    assert_eq!(answer.server(), Some("pod"), "{answer:?}");
    host.ok(&host.call_by_script(script, "CHECK", &request));
    host.drifted(&request, "route_localnet of veth0: expected 1, found 0");
    host.run("DEL", &request);
    host.is_clean();
}

/// A port that is mapped on a loopback address only, with and without `snat`.
fn a_port_of_a_loopback_address_is_not_reached_by_neighbours(backend: Backend) {
    for snat in ["true", "false"] {
        let host = Host::usual(backend);
        let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
        let gateway = host.net.host.v4(0).ip().to_string();
        let client = host.net.client();
        sends_to_loopback(client, &gateway);
        let options = format!(r#""snat":{snat},"#);
        let request = request(&options, &mapping_on("127.0.0.1", "tcp", 8080, 80));
        host.run("ADD", &request);
        let attack =
            || tcp::exchange_within(client, (LOOPBACK, 8080).into(), Duration::from_millis(400));
        assert_eq!(attack().server(), None, "{snat}");
        if snat == "true" {
            let here = tcp::exchange(&host.net.host, (LOOPBACK, 8080).into());
            assert_eq!(here.server(), Some("pod"), "{here:?}");
        }
        // That the attack works without the guard is what makes this a test.
        host.iptables("iptables", "-t mangle -F PREROUTING");
        assert_eq!(attack().server(), Some("pod"), "{snat} {:?}", attack());
        host.drifted(&request, "chain PREROUTING of table mangle");
        host.run("ADD", &request);
        assert_eq!(attack().server(), None, "{snat}");
    }
}

/// `route_localnet` lets in packets that come from such an address, too.
fn a_pod_does_not_speak_to_the_node_from_a_loopback_address(backend: Backend) {
    let host = Host::usual(backend);
    let pod = host.pod();
    for key in ["all", "eth0"] {
        pod.set_sysctl(&format!("net.ipv4.conf.{key}.route_localnet"), "1")
            .unwrap();
    }
    for key in ["all", "veth0"] {
        let key = format!("net.ipv4.conf.{key}.rp_filter");
        host.net.host.set_sysctl(&key, "0").unwrap();
    }
    let service = host
        .net
        .host
        .run(|| UdpSocket::bind("0.0.0.0:6001"))
        .unwrap();
    service
        .set_read_timeout(Some(Duration::from_millis(400)))
        .unwrap();
    let attacker = pod.run(|| UdpSocket::bind("127.1.2.3:0")).unwrap();
    let attack = || {
        attacker.send_to(b"attack", "10.22.0.1:6001").unwrap();
        let from = service.recv_from(&mut [0; 16]).map(|(_, peer)| peer.ip());
        from.map(|address| address.is_loopback()).unwrap_or(false)
    };
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    assert!(!attack());
    // That the attack works without the guard is what makes this a test.
    host.iptables("iptables", "-t mangle -F PREROUTING");
    assert!(attack());
    host.run("ADD", &request);
    assert!(!attack());
}
