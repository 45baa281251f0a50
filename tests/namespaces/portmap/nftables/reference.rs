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
fn del_that_knows_no_address_removes_rules_that_lead_to_one_and_leaves_those_of_two() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    let mut blind = pod.clone().mapping(json!([])).request();
    blind.as_object_mut().unwrap().remove("prevResult");
    let del = || pod.prepared("DEL", &blind).run(&net.host).unwrap();
    nft(&net.host, &left_behind("pod-0", "pod-0"));
    assert_eq!(del().code, Some(0));
    assert_eq!(owned(&net.host, "pod-0").len(), 16);
    nft(&net.host, "flush ruleset");
    nft(&net.host, &left_behind("pod-0", "other"));
    assert_eq!(del().code, Some(0));
    assert!(owned(&net.host, "pod-0").is_empty());
    assert_eq!(owned(&net.host, "other").len(), 8);
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
    // A request without addresses and with other ports proves nothing.
    let mut blind = second.request();
    blind.as_object_mut().unwrap().remove("prevResult");
    second.prepared("DEL", &blind).run(&net.host).unwrap();
    assert_eq!((of("10.22.0.3"), of("fd00:22::3")), (4, 4));
    second.does("DEL", &net.host);
    assert!(owned(&net.host, "pod-0").is_empty());
}

/// What the reference makes for a container with a port of all addresses and, in IPv4, one of an
/// address. `jumps` are the rules of both hooks.
fn made(id: &str, jumps: &[&str]) -> String {
    let mut script = String::new();
    for (family, address, local) in [
        ("ip", "10.22.0.2", Some("127.0.0.1")),
        ("ip6", "fd00:22::2", None),
    ] {
        let table = format!("{family} cni_hostport");
        let to = |port: u16| match family {
            "ip" => format!("{address}:{port}"),
            _ => format!("[{address}]:{port}"),
        };
        script += &format!(
            "add table {table} {{ comment \"CNI portmap plugin\"; }}
             add chain {table} hostports
             add chain {table} hostip_hostports
             add chain {table} hostports_all
             add rule {table} hostports_all jump hostip_hostports
             add rule {table} hostports_all jump hostports
             add chain {table} prerouting {{ type nat hook prerouting priority -100; }}
             add chain {table} output {{ type nat hook output priority -100; }}
             add chain {table} masquerading {{ type nat hook postrouting priority 100; }}
             add rule {table} hostports tcp dport 8080 dnat to {} comment \"{id}\"
             add rule {table} masquerading {family} saddr {address} {family} daddr {address} masquerade comment \"{id}\"\n",
            to(80)
        );
        for jump in jumps {
            script +=
                &format!("add rule {table} prerouting {jump}\nadd rule {table} output {jump}\n");
        }
        if let Some(local) = local {
            script += &format!(
                "add rule {table} hostports ip daddr 10.99.0.1 udp dport 8081 dnat to {} comment \"{id}\"
                 add rule {table} masquerading ip saddr {local} ip daddr {address} masquerade comment \"{id}\"\n",
                to(81)
            );
        }
    }
    script
}

const TODAY: [&str; 1] = ["fib daddr type local jump hostports_all"];
const OLDER: [&str; 2] = ["jump hostip_hostports", "jump hostports"];

fn made_pod(net: &sandbox::topology::Net) -> Pod {
    net.host
        .set_sysctl("net.ipv4.conf.cni0.route_localnet", "1")
        .unwrap();
    Pod::new(net, 0).mapping(json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8081, "containerPort": 81, "protocol": "udp", "hostIP": "10.99.0.1"}
    ]))
}

#[test]
fn what_the_reference_made_passes_check_until_it_no_longer_works() {
    for jumps in [&TODAY[..], &OLDER] {
        let net = host_with(1);
        let pod = made_pod(&net);
        nft(&net.host, &made("pod-0", jumps));
        pod.does("CHECK", &net.host);
    }
    let rule = "ip cni_hostport hostports";
    for (name, script, words) in [
        (
            "another address",
            format!(
                "flush chain {rule}\nadd rule {rule} tcp dport 8080 dnat to 10.22.0.9:80 comment \"pod-0\""
            ),
            "8080/tcp",
        ),
        (
            "another port",
            format!(
                "flush chain {rule}\nadd rule {rule} tcp dport 8080 dnat to 10.22.0.2:81 comment \"pod-0\""
            ),
            "8080/tcp",
        ),
        ("no rule", format!("flush chain {rule}"), "8081/udp"),
        (
            "no way to the rules",
            "flush chain ip6 cni_hostport hostports_all".into(),
            "8080/tcp",
        ),
        (
            "no hook",
            "flush chain ip cni_hostport output".into(),
            "output",
        ),
        (
            "nothing masqueraded",
            "flush chain ip cni_hostport masquerading".into(),
            "127.0.0.1",
        ),
        (
            "switched off",
            "add table ip cni_hostport { flags dormant; }".into(),
            "dormant",
        ),
        (
            "one IP version is gone",
            "delete table ip6 cni_hostport".into(),
            "ip6",
        ),
    ] {
        let net = host_with(1);
        let pod = made_pod(&net);
        nft(&net.host, &made("pod-0", &TODAY));
        nft(&net.host, &script);
        let told = pod.fails("CHECK", &net.host, 101);
        assert!(told.contains(words), "{name}: {told}");
    }
}

#[test]
fn an_add_replaces_what_the_reference_made_and_del_removes_it() {
    let net = host_with(1);
    let pod = made_pod(&net);
    nft(&net.host, &made("pod-0", &TODAY));
    nft(&net.host, &left_behind("pod-00", "pod-01"));
    pod.does("ADD", &net.host);
    assert!(owned(&net.host, "pod-0").is_empty());
    assert_eq!(owned(&net.host, "pod-01").len(), 8);
    pod.does("CHECK", &net.host);
    pod.does("DEL", &net.host);
    assert!(owned(&net.host, &pod.owner()).is_empty());
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
