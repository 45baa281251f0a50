//! Tables that an earlier version made: without maps of those who wait, and with half of the guard.

use serde_json::json;

use super::owners::port;
use super::{Pod, contents, host_with, nft, ruleset};

/// Takes away what today's version adds.
fn as_before(net: &sandbox::topology::Net) {
    nft(
        &net.host,
        "delete map ip cni_portmap shadowed
         delete map ip cni_portmap shadowed_hostip
         delete map ip6 cni_portmap shadowed
         delete map ip6 cni_portmap shadowed_hostip
         flush chain ip cni_portmap loopback_guard
         add rule ip cni_portmap loopback_guard iifname != \"lo\" ip daddr 127.0.0.0/8 drop",
    );
}

#[test]
fn a_table_of_an_earlier_version_passes_check_and_add_completes_it() {
    let net = host_with(2);
    let (old, new) = (Pod::new(&net, 0), Pod::new(&net, 1));
    let new = new.mapping(port(9090));
    old.does("ADD", &net.host);
    new.does("ADD", &net.host);
    let whole = contents(&net.host);
    new.does("DEL", &net.host);
    as_before(&net);
    let former = contents(&net.host);
    old.does("CHECK", &net.host);
    assert_eq!(contents(&net.host), former);
    new.does("ADD", &net.host);
    assert_eq!(contents(&net.host), whole);
    // Once completed, all of it counts.
    nft(
        &net.host,
        "flush chain ip cni_portmap loopback_guard
         add rule ip cni_portmap loopback_guard iifname != \"lo\" ip daddr 127.0.0.0/8 drop",
    );
    let told = old.fails("CHECK", &net.host, 101);
    assert!(told.contains("loopback_guard"), "{told}");
}

#[test]
fn the_guard_of_an_earlier_version_that_somebody_changed_is_a_drift() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    as_before(&net);
    nft(&net.host, "flush chain ip cni_portmap loopback_guard");
    let told = pod.fails("CHECK", &net.host, 101);
    assert!(told.contains("loopback_guard"), "{told}");
}

#[test]
fn an_owner_of_an_earlier_version_gets_its_port_back() {
    let net = host_with(2);
    let pods = [0, 1].map(|n| Pod::new(&net, n).mapping(port(8080)));
    pods[0].does("ADD", &net.host);
    as_before(&net);
    pods[1].does("ADD", &net.host);
    pods[0].fails("CHECK", &net.host, 101);
    pods[1].does("DEL", &net.host);
    pods[0].does("CHECK", &net.host);
    as_before(&net);
    pods[0].does("DEL", &net.host);
    assert!(super::owned(&net.host, &pods[0].owner()).is_empty());
}

#[test]
fn rules_of_an_earlier_version_that_do_not_count_pass_check_and_stay() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).with("conditionsV4", json!(["ip", "saddr", "10.99.0.2"]));
    let pod = pod.mapping(port(8080));
    pod.does("ADD", &net.host);
    let text = ruleset(&net.host);
    let start = text.find("chain attachment-").unwrap();
    let chain = text[start..].split_inclusive("\t}\n").next().unwrap();
    let name = chain.split_whitespace().nth(1).unwrap();
    let uncounted = chain.replace(" counter packets 0 bytes 0", "");
    assert_ne!(chain, uncounted);
    nft(
        &net.host,
        &format!("flush chain ip cni_portmap {name}\ntable ip cni_portmap {{\n{uncounted}}}\n"),
    );
    let former = contents(&net.host);
    pod.does("CHECK", &net.host);
    pod.does("ADD", &net.host);
    assert_eq!(contents(&net.host), former);
    // Other rules are a drift, and those that make up for it count.
    nft(&net.host, &format!("flush chain ip cni_portmap {name}"));
    pod.fails("CHECK", &net.host, 101);
    pod.does("ADD", &net.host);
    assert!(ruleset(&net.host).contains("counter packets 0 bytes 0 dnat to 10.22.0.2:80"));
}
