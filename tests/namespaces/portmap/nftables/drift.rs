//! CHECK sees every change, and ADD makes up for it.

use super::{Pod, contents, host_with, nft, ruleset};

/// What may happen to the table, and a part of CHECK's words.
const DRIFTS: [(&str, &str, &str); 42] = [
    ("an element is gone", "delete element ip cni_portmap hostports { tcp . 8080 }", "no element"),
    ("an IPv6 element is gone", "delete element ip6 cni_portmap hostports { tcp . 8080 }", "ip6"),
    ("an element of an address is gone", "delete element ip cni_portmap hostips { 10.99.0.1 . udp . 8081 }", "hostips"),
    ("an element leads to another container", "delete element ip cni_portmap hostports { tcp . 8080 }
      add element ip cni_portmap hostports { tcp . 8080 comment \"net1/pod-0/eth0\" : 10.22.0.9 . 80 }", "10.22.0.9:80"),
    ("an element leads to another port", "delete element ip cni_portmap hostports { tcp . 8080 }
      add element ip cni_portmap hostports { tcp . 8080 comment \"net1/pod-0/eth0\" : 10.22.0.2 . 8888 }", "10.22.0.2:8888"),
    ("an element has another owner", "delete element ip cni_portmap hostports { tcp . 8080 }
      add element ip cni_portmap hostports { tcp . 8080 comment \"net1/other/eth0\" : 10.22.0.2 . 80 }", "net1/other/eth0"),
    ("an element has no owner", "delete element ip cni_portmap hostports { tcp . 8080 }
      add element ip cni_portmap hostports { tcp . 8080 : 10.22.0.2 . 80 }", "nobody"),
    ("the map is flushed", "flush map ip cni_portmap hostports", "hostports"),
    ("the map of addresses is flushed", "flush map ip6 cni_portmap hostips", "hostips"),
    ("the hairpin element is gone", "flush set ip cni_portmap hairpin16", "hairpin16"),
    ("the hairpin element of an address is gone", "flush set ip6 cni_portmap hairpin64_hostip", "hairpin64_hostip"),
    ("the localhost element is gone", "flush set ip cni_portmap localhost", "localhost"),
    ("everything is masqueraded", "add element ip cni_portmap masq_all { tcp . 8080 comment \"net1/pod-0/eth0\" }", "masq_all"),
    ("a rule in the way of all attachments", "insert rule ip cni_portmap conditions accept", "conditions"),
    ("another rule among those with conditions", "add rule ip6 cni_portmap conditions tcp dport 8080 drop", "conditions"),
    ("prerouting is flushed", "flush chain ip cni_portmap prerouting", "prerouting"),
    ("output is flushed", "flush chain ip6 cni_portmap output", "output"),
    ("postrouting is flushed", "flush chain ip cni_portmap postrouting", "postrouting"),
    ("the lookup is flushed", "flush chain ip cni_portmap by_port", "by_port"),
    ("the lookup of addresses is flushed", "flush chain ip cni_portmap by_address", "by_address"),
    ("the jumps to the lookups are flushed", "flush chain ip cni_portmap hostports", "hostports"),
    ("prerouting is deleted", "delete chain ip cni_portmap prerouting", "prerouting"),
    ("output is deleted", "delete chain ip cni_portmap output", "output"),
    ("postrouting is deleted", "delete chain ip6 cni_portmap postrouting", "postrouting"),
    ("a rule stands before ours in prerouting", "insert rule ip cni_portmap prerouting accept", "prerouting"),
    ("a rule stands before ours in output", "insert rule ip cni_portmap output return", "output"),
    ("a rule stands before ours in postrouting", "insert rule ip cni_portmap postrouting accept", "postrouting"),
    ("a rule stands before the lookup", "insert rule ip cni_portmap by_port tcp dport 8080 accept", "by_port"),
    ("a rule stands before the jumps", "insert rule ip cni_portmap hostports udp dport 8081 return", "hostports"),
    ("a rule stands behind ours", "add rule ip cni_portmap postrouting drop", "postrouting"),
    ("the priority is another", "delete chain ip cni_portmap prerouting
      add chain ip cni_portmap prerouting { type nat hook prerouting priority 0; }
      add rule ip cni_portmap prerouting fib daddr type local jump hostports", "priority"),
    ("the hook is another", "delete chain ip cni_portmap output
      add chain ip cni_portmap output { type nat hook input priority -100; }", "hook"),
    ("the policy is to drop", "chain ip cni_portmap prerouting { policy drop; }", "policy"),
    ("not only local addresses are translated", "flush chain ip cni_portmap prerouting
      add rule ip cni_portmap prerouting jump hostports", "fib"),
    ("not only what was translated is masqueraded", "flush chain ip cni_portmap postrouting
      add rule ip cni_portmap postrouting meta mark & 0x2000 == 0x2000 masquerade", "ct"),
    ("another mark is masqueraded", "flush chain ip cni_portmap postrouting
      add rule ip cni_portmap postrouting ct status dnat meta mark & 0x4000 == 0x4000 masquerade", "other values"),
    ("the table is dormant", "add table ip cni_portmap { flags dormant; }", "dormant"),
    ("the guard of 127.0.0.0/8 is deleted", "delete chain ip cni_portmap loopback_guard", "loopback_guard"),
    ("the guard of 127.0.0.0/8 lets through", "flush chain ip cni_portmap loopback_guard
      add rule ip cni_portmap loopback_guard iifname != \"lo\" ip daddr 127.0.0.0/8 accept", "loopback_guard"),
    ("the IPv4 table is gone", "delete table ip cni_portmap", "missing"),
    ("the IPv6 table is gone", "delete table ip6 cni_portmap", "missing"),
    ("the ruleset is flushed", "flush ruleset", "missing"),
];

#[test]
fn check_names_every_drift_and_add_makes_up_for_it() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    pod.does("CHECK", &net.host);
    let sound = contents(&net.host);
    for (name, script, words) in DRIFTS {
        let text = ruleset(&net.host);
        nft(&net.host, script);
        assert_ne!(ruleset(&net.host), text, "{name} changes nothing");
        let told = pod.fails("CHECK", &net.host, 101);
        assert!(told.contains(words), "{name}: {told}");
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        let mut now = contents(&net.host);
        // An owner who is no longer served waits.
        now.retain(|line| !line.contains("net1/other"));
        assert_eq!(now, sound, "{name}");
    }
}

#[test]
fn check_of_one_attachment_does_not_see_another_s_drift() {
    let net = host_with(2);
    let (one, other) = (Pod::new(&net, 0), Pod::new(&net, 1));
    let other = other.mapping(serde_json::json!([
        {"hostPort": 9090, "containerPort": 90, "protocol": "tcp"}
    ]));
    one.does("ADD", &net.host);
    other.does("ADD", &net.host);
    nft(
        &net.host,
        "delete element ip cni_portmap hostports { tcp . 9090 }",
    );
    one.does("CHECK", &net.host);
    other.fails("CHECK", &net.host, 101);
}

#[test]
fn all_drifts_are_told_at_once() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    nft(
        &net.host,
        "delete element ip cni_portmap hostports { tcp . 8080 }
         flush set ip6 cni_portmap hairpin64
         flush chain ip cni_portmap output",
    );
    let told = pod.fails("CHECK", &net.host, 101);
    for part in ["hostports", "hairpin64", "chain output"] {
        assert!(told.contains(part), "{told}");
    }
}
