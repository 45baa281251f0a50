//! What the reference's nftables backend left goes with DEL and GC, rule by rule.

use serde_json::json;

use super::{Pod, contents, host_with, nft, owned};

/// The reference's tables with the rules of two containers, in the shape it writes them.
fn left_behind(one: &str, other: &str) -> String {
    let mut script = String::new();
    for (family, local, addresses) in [
        ("ip", "192.0.2.1", ["10.22.0.2", "10.22.0.3"]),
        ("ip6", "2001:db8::5", ["fd00:22::2", "fd00:22::3"]),
    ] {
        let table = format!("{family} cni_hostport");
        script += &format!(
            "add table {table} {{ comment \"CNI portmap plugin\"; }}
             add chain {table} hostports
             add chain {table} hostip_hostports
             add chain {table} hostports_all
             add rule {table} hostports_all jump hostip_hostports
             add rule {table} hostports_all jump hostports
             add chain {table} prerouting {{ type nat hook prerouting priority -100; }}
             add rule {table} prerouting fib daddr type local jump hostports_all
             add chain {table} output {{ type nat hook output priority -100; }}
             add rule {table} output fib daddr type local jump hostports_all
             add chain {table} masquerading {{ type nat hook postrouting priority 100; }}\n"
        );
        for (id, address) in [one, other].iter().zip(addresses) {
            let target = match family {
                "ip" => format!("{address}:80"),
                _ => format!("[{address}]:80"),
            };
            script += &format!(
                "add rule {table} hostports tcp dport 8080 dnat to {target} comment \"{id}\"
                 add rule {table} hostports {family} daddr {local} udp dport 53 dnat to {target} comment \"{id}\"
                 add rule {table} hostip_hostports {family} daddr {local} tcp dport 9 dnat to {target} comment \"{id}\"
                 add rule {table} masquerading {family} saddr {address} {family} daddr {address} masquerade comment \"{id}\"\n"
            );
        }
    }
    script
}

#[test]
fn del_removes_the_rules_of_its_container_only() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    nft(&net.host, &left_behind("pod-0", "pod-01"));
    let others = owned(&net.host, "pod-01");
    assert_eq!((owned(&net.host, "pod-0").len(), others.len()), (8, 8));
    pod.does("DEL", &net.host);
    assert!(owned(&net.host, "pod-0").is_empty());
    assert_eq!(owned(&net.host, "pod-01"), others);
    let after = contents(&net.host);
    pod.does("DEL", &net.host);
    assert_eq!(contents(&net.host), after);
}

#[test]
fn gc_leaves_rules_that_may_be_another_network_s_and_names_them() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    nft(&net.host, &left_behind("alive-1", "other-1"));
    let before = contents(&net.host);
    let mut request = pod.request();
    request["cni.dev/valid-attachments"] = json!([{"containerID": "alive-1", "ifname": "eth0"}]);
    let answer = pod.prepared("GC", &request).run(&net.host).unwrap();
    assert_eq!(answer.code, Some(0), "{}", answer.stdout);
    assert_eq!(contents(&net.host), before);
    let said = &answer.stderr;
    assert!(
        said.contains("other-1") && !said.contains("alive-1"),
        "{said}"
    );
}

#[test]
fn del_leaves_the_rules_of_the_container_s_other_network() {
    let net = host_with(1);
    let first = Pod::new(&net, 0);
    let mut second = first.clone();
    (second.network, second.ifname) = ("net2".into(), "eth1".into());
    (second.v4, second.v6) = ("10.22.0.3/16".into(), "fd00:22::3/64".into());
    // Two networks of one container: the reference has one name for both.
    nft(&net.host, &left_behind("pod-0", "pod-0"));
    let of = |address: &str| {
        let address = format!("\"{address}\"");
        let lines = owned(&net.host, "pod-0").into_iter();
        lines.filter(|line| line.contains(&address)).count()
    };
    let answer = first.call("DEL", &net.host);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("pod-0"), "{answer:?}");
    assert_eq!((of("10.22.0.2"), of("fd00:22::2")), (0, 0));
    assert_eq!((of("10.22.0.3"), of("fd00:22::3")), (4, 4));
    // A request that does not say which addresses it is about proves nothing.
    let mut blind = second.request();
    blind.as_object_mut().unwrap().remove("prevResult");
    second.prepared("DEL", &blind).run(&net.host).unwrap();
    assert_eq!((of("10.22.0.3"), of("fd00:22::3")), (4, 4));
    second.does("DEL", &net.host);
    assert!(owned(&net.host, "pod-0").is_empty());
}

#[test]
fn an_upgraded_node_serves_the_port_through_our_table_after_the_del() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    nft(&net.host, &left_behind("pod-0", "pod-1"));
    pod.does("DEL", &net.host);
    pod.does("ADD", &net.host);
    pod.does("CHECK", &net.host);
    assert_eq!(owned(&net.host, "pod-1").len(), 8);
}
