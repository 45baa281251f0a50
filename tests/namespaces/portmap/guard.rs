//! `route_localnet` lets the node's loopback addresses reach pods; the guard keeps others out.

use std::time::Duration;

use sandbox::probe::tcp;

use super::node::{Backend, Host, mapping, on_every_backend, request};

on_every_backend!(
    what_listens_on_loopback_is_not_reached_from_outside,
    without_snat_the_switch_is_not_made,
    where_sysctls_are_read_only_ports_are_mapped_all_the_same_with_a_warning,
);

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn what_listens_on_loopback_is_not_reached_from_outside(backend: Backend) {
    let host = Host::usual(backend);
    let pod = host.pod();
    // The pod sends packets for 127.0.0.1 to the node, as an attacker on the same network would.
    pod.sh([
        "ip",
        "route",
        "add",
        "127.0.0.1",
        "via",
        "10.22.0.1",
        "dev",
        "eth0",
        "onlink",
        "table",
        "100",
    ]);
    pod.sh([
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
    pod.sh(["ip", "rule", "del", "pref", "0", "table", "local"]);
    pod.sh(["ip", "rule", "add", "pref", "1", "table", "local"]);
    for key in ["all", "eth0"] {
        pod.set_sysctl(&format!("net.ipv4.conf.{key}.route_localnet"), "1")
            .unwrap();
    }
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
