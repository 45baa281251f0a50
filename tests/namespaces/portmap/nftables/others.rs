//! Other people's objects: a table of our name, rulesets that change meanwhile.

use super::{Pod, contents, host_with, nft};

#[test]
fn a_table_of_our_name_made_by_someone_else_is_named_and_left_alone() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    for theirs in [
        "table ip cni_portmap { }",
        "table ip cni_portmap { chain mine { tcp dport 1 accept; }; }",
        "table ip cni_portmap { set localhost { type ipv4_addr; elements = { 1.2.3.4 }; }; }",
        "table ip cni_portmap { chain by_port { type nat hook input priority 0; }; }",
        "table ip6 cni_portmap { map hostports { type inet_service : ipv6_addr; }; }",
    ] {
        nft(&net.host, theirs);
        let before = contents(&net.host);
        let told = pod.fails("ADD", &net.host, 100);
        assert!(told.contains("cni_portmap exists"), "{theirs}: {told}");
        pod.fails("CHECK", &net.host, 101);
        pod.does("DEL", &net.host);
        assert_eq!(contents(&net.host), before, "{theirs}");
        nft(&net.host, "flush ruleset");
    }
}

#[test]
fn tables_of_others_are_not_touched() {
    let net = host_with(1);
    nft(
        &net.host,
        "table inet filter { chain input { type filter hook input priority 0; tcp dport 22 accept; }; }
         table ip nat { chain prerouting { type nat hook prerouting priority -100; }; }",
    );
    let before = contents(&net.host);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    pod.does("DEL", &net.host);
    let mut after = contents(&net.host);
    after.retain(|line| !line.contains("cni_portmap"));
    after.retain(|line| !line.contains("\"hostports\""));
    assert_eq!(after, before);
}
