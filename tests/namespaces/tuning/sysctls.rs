//! Which file a sysctl's name means, values that one takes from another, and duplicates.

use sandbox::plugin::Answer;
use serde_json::json;

use super::pod::{Pod, error};
use super::state::assert_state;

/// ADD with sysctls in this very order, which a JSON library might not keep.
fn add(pod: &Pod, sysctls: &str) -> Answer {
    let conf = pod.conf(json!({})).to_string();
    let conf = conf.strip_suffix('}').unwrap();
    let conf = format!("{conf},\"sysctl\":{sysctls}}}");
    pod.call("ADD").stdin(conf).run(&pod.net.host).unwrap()
}

#[test]
fn a_value_that_a_later_one_sets_too_is_warned_of_and_is_a_drift() {
    let pod = Pod::new();
    let (all, eth0) = (
        "net.ipv4.conf.all.forwarding",
        "net.ipv4.conf.IFNAME.forwarding",
    );
    let reserved = "\"net.ipv4.ip_local_reserved_ports\":\"8080,8081\"";
    let answer = add(
        &pod,
        &format!("{{\"{eth0}\":\"0\",\"{all}\":\"1\",{reserved}}}"),
    );
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let warning = "sysctl net/ipv4/conf/eth0/forwarding was set to ";
    assert!(answer.stderr.contains(warning), "{answer:?}");
    assert_eq!(answer.stderr.matches("was set to").count(), 1, "{answer:?}");
    let keys = json!({"sysctl": {eth0: "0", all: "1"}});
    let (code, text) = error(&pod.run("CHECK", keys));
    assert_eq!(code, 101, "{text}");
    assert!(
        text.contains("conf/eth0/forwarding: expected 0, found 1"),
        "{text}"
    );
    let answer = add(
        &pod,
        &format!("{{\"{all}\":\"1\",\"{eth0}\":\"0\",{reserved}}}"),
    );
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    pod.check(json!({"sysctl": {all: "1", eth0: "0"}}));
}

#[test]
fn the_same_sysctl_twice_is_refused_however_it_is_spelled() {
    let pod = Pod::new();
    let before = pod.state();
    for (a, b) in [
        ("net.core.somaxconn", "net.core.somaxconn"),
        ("net.core.somaxconn", "net/core/somaxconn"),
        ("net.ipv4/ip_forward", "net.ipv4.ip_forward"),
        (
            "net.ipv4.conf.IFNAME.arp_filter",
            "net.ipv4.conf.eth0.arp_filter",
        ),
        (
            "net.ipv4.conf.IFNAME.arp_filter",
            "net/ipv4/conf/eth0/arp_filter",
        ),
    ] {
        let (code, text) = error(&add(&pod, &format!("{{\"{a}\":\"1\",\"{b}\":\"1\"}}")));
        assert_eq!(code, 7, "{text}");
        assert!(text.contains("duplicated"), "{text}");
        let args =
            format!("{{}},\"args\":{{\"cni\":{{\"sysctl\":{{\"{a}\":\"1\",\"{b}\":\"1\"}}}}}}");
        let (code, text) = error(&add(&pod, &args));
        assert_eq!(code, 7, "{text}");
        assert!(text.starts_with("args.cni.sysctl: duplicated"), "{text}");
    }
    assert_state!(pod.state(), before);
}

#[test]
fn an_interface_with_a_dot_in_its_name_is_reached_in_every_spelling() {
    let pod = Pod::new();
    pod.ip([
        "link", "add", "eth0.100", "type", "veth", "peer", "name", "peer",
    ]);
    let file = "net/ipv4/conf/eth0.100/arp_filter";
    for key in [
        "net/ipv4/conf/eth0.100/arp_filter",
        "net.ipv4.conf.eth0/100.arp_filter",
        "net.ipv4.conf.eth0.100.arp_filter",
        "net/ipv4/conf/IFNAME.100/arp_filter",
    ] {
        let keys = || json!({"sysctl": {key: "1"}});
        pod.add(keys());
        assert_eq!(pod.sysctl(file), "1", "{key}");
        pod.check(keys());
        pod.del(keys());
        assert_eq!(pod.sysctl(file), "0", "{key}");
    }
    let keys = json!({"mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}});
    let call = |verb| pod.call(verb).env("CNI_IFNAME", "eth0.100");
    let conf = pod.conf(keys);
    assert_eq!(pod.finish(call("ADD"), &conf).code, Some(0));
    assert_eq!(pod.sysctl(file), "1");
    assert_eq!(pod.finish(call("CHECK"), &conf).code, Some(0));
    assert_eq!(pod.finish(call("DEL"), &conf).code, Some(0));
    assert_eq!(pod.sysctl(file), "0");
}

#[test]
fn a_sysctl_that_cannot_be_read_is_written_and_neither_checked_nor_restored() {
    let pod = Pod::new();
    let before = pod.state();
    let keys = || json!({"sysctl": {"net.ipv4.route.flush": "1", "net.core.somaxconn": "5"}});
    pod.add(keys());
    pod.check(keys());
    pod.del(keys());
    assert_state!(pod.state(), before);
}

#[test]
fn a_sysctl_that_has_no_value_yet_can_be_set_and_checked() {
    let pod = Pod::new();
    let key = "net.ipv6.conf.IFNAME.stable_secret";
    let keys = || json!({"sysctl": {key: "fd00:0:0:1:2:3:4:5"}});
    assert!(
        pod.container()
            .sysctl("net/ipv6/conf/eth0/stable_secret")
            .is_err()
    );
    let answer = pod.run("CHECK", keys());
    assert_eq!(error(&answer).0, 101);
    pod.add(keys());
    pod.check(keys());
    pod.del(keys());
}

#[test]
fn what_the_kernel_shows_in_its_own_words_is_no_drift() {
    let pod = Pod::new();
    let before = pod.state();
    let key = "net.ipv4.ip_local_reserved_ports";
    let keys = || json!({"sysctl": {key: "8081,8080,9000"}});
    pod.add(keys());
    assert_eq!(
        pod.sysctl("net/ipv4/ip_local_reserved_ports"),
        "8080-8081,9000"
    );
    pod.check(keys());
    pod.add(keys());
    pod.check(keys());
    pod.set_sysctl("net/ipv4/ip_local_reserved_ports", "8080-8082,9000");
    let (code, text) = error(&pod.run("CHECK", keys()));
    assert_eq!(code, 101);
    assert!(
        text.contains("expected 8081,8080,9000, found 8080-8082,9000"),
        "{text}"
    );
    pod.set_sysctl("net/ipv4/ip_local_reserved_ports", "8080-8081,9000");
    let (code, _) = error(&pod.run("CHECK", json!({"sysctl": {key: "1,2"}})));
    assert_eq!(code, 101, "another value was asked");
    pod.del(keys());
    assert_state!(pod.state(), before);
}

#[test]
fn a_number_is_a_value() {
    let pod = Pod::new();
    let keys = json!({"sysctl": {"net.core.somaxconn": 500},
        "args": {"cni": {"sysctl": {"net.ipv4.conf.IFNAME.arp_filter": 1}}}});
    pod.add(keys.clone());
    assert_eq!(pod.sysctl("net/core/somaxconn"), "500");
    assert_eq!(pod.sysctl("net/ipv4/conf/eth0/arp_filter"), "1");
    pod.check(keys.clone());
    pod.del(keys);
    assert_eq!(pod.sysctl("net/core/somaxconn"), "4096");
}

#[test]
fn a_long_value_is_saved_checked_and_restored_whole() {
    const NAME: &str = "net.ipv4.ip_local_reserved_ports";
    let ports = |first: usize, many: usize| {
        let ports = (first..).step_by(7).take(many);
        ports.map(|port| port.to_string()).collect::<Vec<_>>()
    };
    // Longer than the first read of Rust's library, and than a page.
    for many in [20, 2_000] {
        let pod = Pod::new();
        let before = ports(20_000, many).join(",");
        pod.set_sysctl(NAME, &before);
        assert_eq!(pod.sysctl(NAME), before);
        let mut wanted = ports(20_003, many);
        let list = json!({"sysctl": {NAME: wanted.join(",")}});
        pod.add(list.clone());
        pod.check(list.clone());
        assert_eq!(pod.sysctl(NAME), wanted.join(","));
        // One at the end is missing.
        wanted.pop();
        pod.set_sysctl(NAME, &wanted.join(","));
        assert_eq!(error(&pod.run("CHECK", list.clone())).0, 101);
        pod.del(list);
        assert_eq!(pod.sysctl(NAME), before);
        assert!(pod.files().is_empty());
    }
}
