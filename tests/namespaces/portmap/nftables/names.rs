//! Container IDs and network names of any length that the spec allows.

use super::{Pod, contents, host_with, nft, owned, ruleset};

#[test]
fn names_of_any_length_work_and_stay_apart() {
    let net = host_with(1);
    let long = |last: char| format!("{}{last}", "a".repeat(299));
    for network in ["n".to_owned(), "n".repeat(200)] {
        let mut one = Pod::new(&net, 0).id(&long('1'));
        one.network.clone_from(&network);
        let mut two = one.clone().id(&long('2')).mapping(serde_json::json!([
            {"hostPort": 9090, "containerPort": 80, "protocol": "tcp"}
        ]));
        two.ifname = "interface-12345".into();
        one.does("ADD", &net.host);
        two.does("ADD", &net.host);
        one.does("CHECK", &net.host);
        one.clone()
            .mapping(serde_json::json!([]))
            .does("DEL", &net.host);
        two.does("CHECK", &net.host);
        two.does("DEL", &net.host);
        assert!(!ruleset(&net.host).contains("elements"));
    }
}

#[test]
fn an_interface_s_name_with_any_characters_is_only_a_name() {
    let net = host_with(1);
    for name in ["a\"b", "a\\", "x;y", "}", "ü"] {
        let mut pod = Pod::new(&net, 0);
        pod.ifname = name.into();
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        let (before, text) = (contents(&net.host), ruleset(&net.host));
        nft(&net.host, &format!("flush ruleset\n{text}"));
        assert_eq!(contents(&net.host), before);
        pod.does("DEL", &net.host);
        assert!(!ruleset(&net.host).contains("elements"));
    }
}

#[test]
fn the_owner_is_the_comment_of_every_element() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    // IPv4: the map, hairpin, localhost, for two ports; IPv6: the map and hairpin, for two ports; and
    // one in each family that says that it is here.
    assert_eq!(owned(&net.host, "net1/pod-0/eth0").len(), 12);
}
