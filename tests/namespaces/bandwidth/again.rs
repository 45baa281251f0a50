//! ADD on what an earlier ADD left: the same result, however often, and whatever was there.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::pod::{IFB, Pod, both, error};

fn with(mut keys: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        keys[key] = value.clone();
    }
    keys
}

#[test]
fn add_twice_and_thrice_is_add_once() {
    let pod = Pod::new();
    let before = pod.state();
    let result = pod.add(both());
    let after = pod.state();
    for _ in 0..2 {
        assert_eq!(pod.add(both()), result);
        assert_eq!(pod.state(), after);
    }
    pod.del(both());
    assert_eq!(pod.state(), before);
}

#[test]
fn a_result_that_names_the_ifb_already_names_it_once() {
    let pod = Pod::new();
    let result = pod.add(both());
    let again = pod.add(with(both(), json!({"prevResult": result.clone()})));
    assert_eq!(again, result);
}

#[test]
fn another_rate_is_set_in_place_and_connections_live_on() {
    let pod = Pod::new();
    pod.add(both());
    let address = pod.container().v4(5001);
    let listener = pod.container().run(|| TcpListener::bind(address)).unwrap();
    let mut near = pod.host().run(|| TcpStream::connect(address)).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let mut exchange = || {
        let mut bytes = [0; 5];
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        near.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        near.write_all(b"hello").unwrap();
        far.read_exact(&mut bytes).unwrap();
        far.write_all(b"again").unwrap();
        near.read_exact(&mut bytes).unwrap();
    };
    exchange();
    // Its index and its hardware address are those of one and the same ifb.
    let links = pod.sh("ip -o link show type ifb");
    for rate in [1_000_000u64, 64_000_000, 32_000_000_000] {
        let keys = || {
            with(
                both(),
                json!({"ingressRate": rate, "egressRate": rate * 2, "egressBurst": 3_200_000}),
            )
        };
        pod.add(keys());
        pod.check(keys());
        exchange();
    }
    assert_eq!(pod.sh("ip -o link show type ifb"), links);
}

#[test]
fn a_direction_that_is_no_longer_limited_is_set_free() {
    let pod = Pod::new();
    pod.add(both());
    let egress = json!({"egressRate": 16_000_000, "egressBurst": 1_600_000});
    pod.add(egress.clone());
    assert!(
        pod.root("veth0").contains("noqueue"),
        "{}",
        pod.root("veth0")
    );
    pod.check(egress);
    pod.add(both());
    let ingress = json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    pod.add(ingress.clone());
    assert_eq!(pod.ifbs(), Vec::<String>::new());
    assert!(!pod.sh("tc qdisc show dev veth0").contains("clsact"));
    pod.check(ingress);
}

#[test]
fn two_bandwidth_plugins_in_one_chain_limit_a_direction_each() {
    let pod = Pod::new();
    let ingress = json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    let egress = json!({"egressRate": 16_000_000, "egressBurst": 1_600_000});
    for (first, second) in [(&ingress, &egress), (&egress, &ingress)] {
        let before = pod.state();
        let result = pod.add(first.clone());
        let result = pod.add(with(second.clone(), json!({"prevResult": result})));
        for keys in [first, second, &both()] {
            pod.check(with(keys.clone(), json!({"prevResult": result})));
        }
        for keys in [second, first] {
            pod.del(with(keys.clone(), json!({"prevResult": result})));
        }
        assert_eq!(pod.state(), before);
    }
}

#[test]
fn add_repairs_whatever_has_drifted() {
    let pod = Pod::new();
    pod.add(both());
    let after = pod.state();
    for drift in [
        "tc qdisc del dev veth0 root",
        "tc qdisc replace dev veth0 root handle 1: tbf rate 1mbit burst 5000 limit 9000",
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000 peakrate 9mbit mtu 2000",
        "tc qdisc del dev veth0 clsact",
        "tc filter del dev veth0 ingress",
        "ip link set IFB down",
        "ip link set IFB mtu 900",
        "ip link del IFB",
        "tc qdisc del dev IFB root",
        "tc qdisc replace dev veth0 parent 1:1 handle 10: pfifo limit 1",
        "tc qdisc replace dev IFB parent 1:1 handle 10: bfifo limit 100",
    ] {
        pod.sh(&drift.replace("IFB", IFB));
        assert_ne!(pod.state(), after, "{drift}");
        pod.add(both());
        pod.check(both());
        assert_eq!(pod.state(), after, "{drift}");
    }
}

#[test]
fn what_cannot_be_seen_in_a_list_of_qdiscs_is_repaired_too() {
    let pod = Pod::new();
    pod.add(both());
    for drift in [
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000 mpu 512",
        "tc qdisc change dev veth0 root handle 1: stab overhead 1000 linklayer ethernet tbf rate 8mbit burst 100000 limit 125000",
        "tc qdisc replace dev IFB parent 1:1 handle 10: pfifo; tc qdisc del dev IFB parent 1:1",
    ] {
        pod.sh(&drift.replace("IFB", IFB));
        let (code, text) = error(&pod.run("CHECK", both()));
        assert_eq!(code, 101, "{drift}: {text}");
        pod.add(both());
        pod.check(both());
    }
}

#[test]
fn a_foreign_root_qdisc_gives_way_and_is_told_of() {
    let pod = Pod::new();
    pod.sh("tc qdisc add dev veth0 root handle 5: htb");
    let answer = pod.run("ADD", both());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(
        answer.stderr.contains("root qdisc htb 5:"),
        "{}",
        answer.stderr
    );
    pod.check(both());
}

#[test]
fn a_container_that_comes_back_without_a_del_gets_its_limits_on_the_new_veth() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(both());
    pod.sh("ip link del veth0");
    let path = pod.container().path();
    let path = path.display();
    // Numbers of links shift, as they do on a node.
    pod.sh("ip link add other type ifb");
    pod.sh(&format!(
        "ip link add veth0 mtu 1400 type veth peer name eth0 netns {path}"
    ));
    pod.sh("ip link set veth0 up");
    super::pod::sh(pod.container(), "ip link set eth0 up");
    pod.sh("ip link del other");
    pod.add(both());
    pod.check(both());
    assert_eq!(pod.ifbs(), [IFB]);
    assert!(pod.sh(&format!("ip link show {IFB}")).contains("mtu 1400"));
    pod.del(both());
    let after: Vec<String> = pod
        .state()
        .iter()
        .map(|l| l.replace("mtu 1400", "mtu 1500"))
        .collect();
    assert_eq!(after.len(), before.len());
    assert_eq!(pod.ifbs(), Vec::<String>::new());
}
