//! What nft prints of the table can be loaded again.

use serde_json::json;

use super::{Pod, contents, host_with, nft, ruleset};

#[test]
fn the_print_can_be_loaded_again() {
    let net = host_with(2);
    let pod = Pod::new(&net, 0);
    let other = Pod::new(&net, 1)
        .mapping(json!([{"hostPort": 9090, "containerPort": 80, "protocol": "sctp"}]))
        .with("masqAll", json!(true))
        .with(
            "conditionsV4",
            json!(["ip", "saddr", "{", "10.99.0.0/24,", "192.0.2.1", "}"]),
        );
    let limited = Pod::new(&net, 1)
        .id("limited")
        .mapping(json!([{"hostPort": 8088, "containerPort": 80, "protocol": "tcp"}]))
        .with(
            "hostAddresses",
            json!(["10.99.0.0/24", "!10.99.0.8/29", "fd99::/16"]),
        )
        .with("hostInterfaces", json!(["!lo"]));
    let ports: Vec<serde_json::Value> = (20_000..20_020)
        .map(|port| json!({"hostPort": port, "containerPort": port, "protocol": "udp"}))
        .collect();
    let range = Pod::new(&net, 1).id("range").mapping(json!(ports));
    range.does("ADD", &net.host);
    // With a port that somebody else has, who waits for it.
    Pod::new(&net, 1).id("loser").does("ADD", &net.host);
    pod.does("ADD", &net.host);
    other.does("ADD", &net.host);
    limited.does("ADD", &net.host);
    let (before, text) = (contents(&net.host), ruleset(&net.host));
    nft(&net.host, &format!("flush ruleset\n{text}"));
    assert_eq!(contents(&net.host), before);
    pod.does("CHECK", &net.host);
    other.does("CHECK", &net.host);
    limited.does("CHECK", &net.host);
    range.does("CHECK", &net.host);
    pod.does("ADD", &net.host);
    assert_eq!(contents(&net.host), before);
}
