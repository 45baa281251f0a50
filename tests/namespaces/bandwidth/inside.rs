//! Interfaces without a veth end in the host are limited inside the container's namespace.

use std::time::Duration;

use sandbox::Topology;
use sandbox::plugin::Call;
use sandbox::probe::throughput;
use serde_json::{Value, json};

use super::pod::{IFB, OURS, Pod, both, error, sh, state, succeeds};

/// A pod whose `net1` is a macvlan on the host's `out0`, in the network of the client outside.
fn macvlan() -> Pod {
    let pod = Pod::in_net(OURS, &Topology::new().client());
    let path = pod.container().path();
    pod.sh(&format!(
        "ip link add link out0 name net1 netns {} type macvlan mode bridge",
        path.display()
    ));
    sh(pod.container(), "ip addr add 10.99.0.7/24 dev net1");
    sh(pod.container(), "ip link set net1 up");
    pod
}

fn conf(pod: &Pod) -> Value {
    let mut conf = pod.conf(both());
    conf["cniVersion"] = json!("1.1.0");
    conf["prevResult"] = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "net1", "sandbox": "/x"}],
    });
    conf
}

fn call(pod: &Pod, verb: &str) -> Call {
    pod.call(verb).env("CNI_IFNAME", "net1")
}

#[test]
fn a_macvlan_is_limited_checked_and_set_free() {
    let pod = macvlan();
    let (host, before) = (state(pod.host()), state(pod.container()));
    for _ in 0..2 {
        let answer = pod.finish(call(&pod, "ADD"), &conf(&pod));
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let result: Value = serde_json::from_str(&answer.stdout).unwrap();
        let path = pod.container().path().display().to_string();
        let ifb = &result["interfaces"][1];
        assert_eq!((&ifb["name"], &ifb["mtu"]), (&json!(IFB), &json!(1500)));
        assert_eq!(ifb["sandbox"], path);
    }
    let root = |link: &str| {
        sh(
            pod.container(),
            &format!("tc -raw qdisc show dev {link} root"),
        )
    };
    assert!(root("net1").contains("rate 16Mbit"), "{}", root("net1"));
    assert!(root(IFB).contains("rate 8Mbit"), "{}", root(IFB));
    succeeds(&pod.finish(call(&pod, "CHECK"), &conf(&pod)));
    assert_eq!(state(pod.host()), host);
    for drift in ["tc qdisc del dev net1 root", "tc qdisc del dev net1 clsact"] {
        sh(pod.container(), drift);
        assert_eq!(
            error(&pod.finish(call(&pod, "CHECK"), &conf(&pod))).0,
            101,
            "{drift}"
        );
        assert_eq!(pod.finish(call(&pod, "ADD"), &conf(&pod)).code, Some(0));
    }
    succeeds(&pod.finish(call(&pod, "DEL"), &conf(&pod)));
    assert_eq!(state(pod.container()), before);
    assert_eq!(state(pod.host()), host);
}

#[test]
fn a_macvlan_that_the_container_renamed_is_set_free() {
    let one_way = |direction: &str| {
        let mut keys = both();
        keys.as_object_mut()
            .unwrap()
            .retain(|key, _| key.starts_with(direction));
        keys
    };
    for keys in [both(), one_way("ingress"), one_way("egress")] {
        let pod = macvlan();
        let rename = |from: &str, to: &str| {
            for line in [
                format!("{from} down"),
                format!("{from} name {to}"),
                format!("{to} up"),
            ] {
                sh(pod.container(), &format!("ip link set {line}"));
            }
        };
        rename("net1", "lan");
        let before = state(pod.container());
        rename("lan", "net1");
        let mut conf = conf(&pod);
        let is_kept = |key: &str| both().get(key).is_none() || keys.get(key).is_some();
        conf.as_object_mut().unwrap().retain(|key, _| is_kept(key));
        assert_eq!(pod.finish(call(&pod, "ADD"), &conf).code, Some(0));
        rename("net1", "lan");
        succeeds(&pod.finish(call(&pod, "DEL"), &conf));
        assert_eq!(state(pod.container()), before, "{keys}");
    }
}

#[test]
fn a_macvlan_s_traffic_is_limited_in_both_directions() {
    let pod = macvlan();
    let (client, container) = (pod.net.client(), pod.container());
    let time = Duration::from_millis(1500);
    let free = throughput::tcp(container, client, client.v4(0), time).unwrap();
    assert!(free.steady() > 100e6, "{}", free.steady());
    assert_eq!(pod.finish(call(&pod, "ADD"), &conf(&pod)).code, Some(0));
    let out = throughput::tcp(container, client, client.v4(0), time).unwrap();
    assert!(out.steady() < 32e6, "{}", out.steady());
    let inward = throughput::tcp(client, container, "10.99.0.7:0".parse().unwrap(), time).unwrap();
    assert!(inward.steady() < 16e6, "{}", inward.steady());
}

#[test]
fn subnets_of_a_macvlan_are_told_apart_by_the_far_end() {
    let pod = macvlan();
    let mut conf = conf(&pod);
    conf["unshapedSubnets"] = json!(["10.99.0.0/24"]);
    let before = state(pod.container());
    assert_eq!(pod.finish(call(&pod, "ADD"), &conf).code, Some(0));
    succeeds(&pod.finish(call(&pod, "CHECK"), &conf));
    let (client, container) = (pod.net.client(), pod.container());
    let time = Duration::from_millis(1200);
    let out = throughput::tcp(container, client, client.v4(0), time).unwrap();
    assert!(out.first_second() > 100e6, "{}", out.first_second());
    let inward = throughput::tcp(client, container, "10.99.0.7:0".parse().unwrap(), time).unwrap();
    assert!(inward.first_second() > 100e6, "{}", inward.first_second());
    succeeds(&pod.finish(call(&pod, "DEL"), &conf));
    assert_eq!(state(pod.container()), before);
}

#[test]
fn a_device_that_moved_into_the_container_is_limited_there() {
    // What host-device does; an ifb stands for the physical device.
    let pod = Pod::new();
    let path = pod.container().path();
    pod.sh("ip link add device type ifb");
    pod.sh(&format!(
        "ip link set device netns {} name net1",
        path.display()
    ));
    sh(pod.container(), "ip link set net1 up");
    let (host, before) = (state(pod.host()), state(pod.container()));
    assert_eq!(pod.finish(call(&pod, "ADD"), &conf(&pod)).code, Some(0));
    succeeds(&pod.finish(call(&pod, "CHECK"), &conf(&pod)));
    succeeds(&pod.finish(call(&pod, "DEL"), &conf(&pod)));
    assert_eq!((state(pod.host()), state(pod.container())), (host, before));
}
