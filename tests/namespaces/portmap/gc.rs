//! GC takes back what dead attachments of its network left, and nothing else.

use super::node::{Backend, Host, REFERENCE, mapping, on_both_variants, on_every_backend, request};

on_every_backend!(gc_removes_the_dead_of_its_network_only);
on_both_variants!(gc_removes_what_the_reference_left,);

fn gc(host: &Host, network: &str, valid: &[(&str, &str)]) {
    let valid: Vec<String> = valid
        .iter()
        .map(|(id, ifname)| format!(r#"{{"containerID":"{id}","ifname":"{ifname}"}}"#))
        .collect();
    let request = format!(
        r#"{{"cniVersion":"1.1.0","name":"{network}","type":"portmap",
            "cni.dev/valid-attachments":[{}]}}"#,
        valid.join(",")
    );
    let call = host.call("GC", &request).without("CNI_NETNS");
    host.ok(&call.env("CNI_CONTAINERID", "").env("CNI_IFNAME", ""));
}

fn gc_removes_the_dead_of_its_network_only(backend: Backend) {
    let host = Host::usual(backend);
    let at = |port: u16| {
        // With iptables, the adjacent ones are a range.
        let adjacent = (20 * port..20 * port + 20).map(|port| mapping("sctp", port, port));
        let single = ["tcp", "udp"].map(|protocol| mapping(protocol, port, 80));
        let all: Vec<String> = single.into_iter().chain(adjacent).collect();
        request("", &all.join(","))
    };
    let call = |verb, network: &str, id: &str, ifname: &str, port| {
        let request = at(port)
            .replacen("net1", network, 1)
            .replace("eth0", ifname);
        host.call(verb, &request)
            .env("CNI_CONTAINERID", id)
            .env("CNI_IFNAME", ifname)
    };
    let all = [
        ("net1", "a", "eth0", 1001),
        ("net1", "a", "net1", 1002),
        ("net1", "b", "eth0", 1003),
        ("net2", "a", "eth0", 1004),
        ("net2", "c", "eth0", 1005),
    ];
    for (network, id, ifname, port) in all {
        host.ok(&call("ADD", network, id, ifname, port));
    }
    let alive = |expected: &[u16]| {
        for (network, id, ifname, port) in all {
            let check = call("CHECK", network, id, ifname, port)
                .run(&host.net.host)
                .unwrap();
            assert_eq!(
                check.code == Some(0),
                expected.contains(&port),
                "{port} {}",
                check.stdout
            );
        }
    };
    gc(
        &host,
        "net1",
        &[("a", "eth0"), ("a", "net1"), ("b", "eth0")],
    );
    alive(&[1001, 1002, 1003, 1004, 1005]);
    gc(&host, "net1", &[("a", "eth0"), ("c", "eth0")]);
    alive(&[1001, 1004, 1005]);
    gc(&host, "net1", &[]);
    alive(&[1004, 1005]);
    gc(&host, "net2", &[("c", "eth0")]);
    alive(&[1005]);
    gc(&host, "net2", &[]);
    host.is_clean();
    gc(&host, "net2", &[]);
}

fn gc_removes_what_the_reference_left(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    for id in ["a", "b"] {
        host.ok(&host
            .call_of(REFERENCE, "ADD", &request)
            .env("CNI_CONTAINERID", id));
    }
    gc(&host, "net1", &[("b", "net1")]);
    let nat = host.nat("iptables");
    assert!(
        !nat.contains(r#"id: \"a\""#) && nat.contains(r#"id: \"b\""#),
        "{nat}"
    );
    gc(&host, "net1", &[]);
    host.is_clean();
}
