//! GC takes back what dead attachments of its network left, and nothing else.

use sandbox::Topology;
use serde_json::{Value, json};

use super::pod::{OURS, Pod, both, ifbs, state, succeeds};
use crate::faults::{held_when, until_it_waits};

/// Runs a verb for one container of the picture under a network and a container ID.
fn run(pod: &Pod, verb: &str, number: usize, network: &str, id: &str) {
    let mut conf = pod.conf(both());
    conf["name"] = json!(network);
    conf["prevResult"]["interfaces"][0]["name"] = json!(format!("veth{number}"));
    let call = sandbox::plugin::Call::new(OURS, verb)
        .netns(&pod.net.containers[number])
        .env("CNI_CONTAINERID", id);
    let answer = pod.finish(call, &conf);
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

fn gc(pod: &Pod, valid: Value) {
    let (call, conf) = gc_of(valid);
    succeeds(&pod.finish(call, &conf));
}

fn gc_of(valid: Value) -> (sandbox::plugin::Call, Value) {
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net1", "type": "bandwidth",
        "cni.dev/valid-attachments": valid,
    });
    let call = sandbox::plugin::Call::bare(OURS).env("CNI_COMMAND", "GC");
    (call, conf)
}

/// A container that gets another veth under its old ID, after GC has seen what was left of the old one: before GC
/// has the turn, and while it has it.
#[test]
fn who_is_added_again_while_gc_is_at_work_keeps_its_limits() {
    let places = [("openat", "bandwidth", 1), ("sendto", "RTM_DELQDISC", 1)];
    for place in places {
        let pod = Pod::in_net(OURS, &Topology::new().containers(2));
        let before = pod.state();
        run(&pod, "ADD", 0, "net1", "dead");
        let (call, conf) = gc_of(json!([]));
        let mut again = pod.conf(both());
        again["prevResult"]["interfaces"][0]["name"] = json!("veth1");
        let add = sandbox::plugin::Call::new(OURS, "ADD").netns(&pod.net.containers[1]);
        let add = add.env("CNI_CONTAINERID", "dead").stdin(again.to_string());
        let mut adding = None;
        let gc = held_when(pod.host(), &call.stdin(conf.to_string()), place, || {
            let running = add.spawn(pod.host()).unwrap();
            until_it_waits(&running);
            adding = Some(running);
        });
        assert_eq!(gc.as_ref().unwrap().code, Some(0), "{gc:?}");
        let added = adding.unwrap().wait().unwrap();
        assert_eq!(added.code, Some(0), "{place:?}: {added:?}");
        run(&pod, "CHECK", 1, "net1", "dead");
        run(&pod, "DEL", 1, "net1", "dead");
        run(&pod, "DEL", 0, "net1", "dead");
        assert_eq!(pod.state(), before, "{place:?}");
    }
}

#[test]
fn gc_removes_dead_attachments_of_its_network_and_restores_their_veths() {
    let pod = Pod::in_net(OURS, &Topology::new().containers(4));
    let host = || state(&pod.net.host);
    run(&pod, "ADD", 0, "net1", "alive");
    run(&pod, "ADD", 1, "net2", "other-network");
    pod.sh("ip link add unrelated type ifb");
    let before = host();
    let long = "y".repeat(240);
    run(&pod, "ADD", 2, "net1", "dead");
    run(&pod, "ADD", 3, "net1", &long);
    let valid = json!([{"containerID": "alive", "ifname": "eth0"}]);
    gc(&pod, valid.clone());
    assert_eq!(host(), before);
    gc(&pod, valid);
    assert_eq!(host(), before);
    gc(&pod, json!([]));
    assert_eq!(ifbs(&pod.net.host).len(), 2);
    run(&pod, "CHECK", 1, "net2", "other-network");
}

#[test]
fn gc_keeps_every_valid_attachment_also_of_hashed_names() {
    let pod = Pod::in_net(OURS, &Topology::new().containers(2));
    let long = "z".repeat(250);
    run(&pod, "ADD", 0, "net1", &long);
    run(&pod, "ADD", 1, "net1", "short");
    let before = state(&pod.net.host);
    gc(
        &pod,
        json!([
            {"containerID": long, "ifname": "eth0"}, {"containerID": "short", "ifname": "eth0"},
        ]),
    );
    assert_eq!(state(&pod.net.host), before);
    // Another interface of the same container is another attachment.
    gc(&pod, json!([{"containerID": "short", "ifname": "net1"}]));
    assert_eq!(ifbs(&pod.net.host), Vec::<String>::new());
}

/// Two containers with one interface; an ADD that is rolled back takes its filters away for a moment.
#[test]
fn gc_leaves_what_the_living_have_on_the_veth_of_the_dead_while_no_filter_shows_it() {
    let pod = Pod::new();
    let before = pod.state();
    run(&pod, "ADD", 0, "net1", "dead");
    run(&pod, "ADD", 0, "net1", "alive");
    let filters = || pod.sh("tc filter show dev veth0 ingress");
    let text = filters();
    let places = text.lines().filter_map(|line| {
        let pref = line.split(" pref ").nth(1)?.split(' ').next()?;
        pref.parse::<u16>().ok().filter(|pref| *pref > 1000)
    });
    let places: std::collections::BTreeSet<u16> = places.collect();
    assert!(!places.is_empty(), "{text}");
    for place in places {
        pod.sh(&format!("tc filter del dev veth0 ingress pref {place}"));
    }
    gc(&pod, json!([{"containerID": "alive", "ifname": "eth0"}]));
    let left = pod.sh("tc qdisc show dev veth0");
    assert!(left.contains("tbf") && left.contains("clsact"), "{left}");
    assert_eq!(filters().matches("mirred").count(), 0);
    run(&pod, "ADD", 0, "net1", "alive");
    run(&pod, "CHECK", 0, "net1", "alive");
    run(&pod, "DEL", 0, "net1", "alive");
    assert_eq!(pod.state(), before);
}

#[test]
fn gc_frees_a_veth_that_was_limited_towards_its_container_alone() {
    let pod = Pod::new();
    let before = pod.state();
    let towards = || json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    pod.add(towards());
    let limited = pod.state();
    gc(&pod, json!([{"containerID": "cid-0001", "ifname": "eth0"}]));
    assert_eq!(pod.state(), limited);
    gc(&pod, json!([]));
    assert_eq!(pod.state(), before);
}

#[test]
fn gc_takes_an_ifb_whose_veth_is_gone() {
    let pod = Pod::new();
    run(&pod, "ADD", 0, "net1", "dead");
    pod.sh("ip link del veth0");
    gc(&pod, json!([]));
    assert_eq!(pod.ifbs(), Vec::<String>::new());
}

/// A container whose veth was replaced while an older plugin's ifb stayed behind the former one.
#[test]
fn gc_frees_a_marked_veth_whose_owner_has_an_ifb_behind_another() {
    let pod = Pod::in_net(OURS, &Topology::new().containers(2));
    let host = || state(&pod.net.host);
    let before = host();
    run(&pod, "ADD", 0, "net1", "dead");
    let towards = json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    let mut conf = pod.conf(towards);
    conf["prevResult"]["interfaces"][0]["name"] = json!("veth1");
    let add = sandbox::plugin::Call::new(OURS, "ADD").netns(&pod.net.containers[1]);
    let answer = pod.finish(add.env("CNI_CONTAINERID", "later"), &conf);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let link = pod.sh("ip -j link show veth1");
    let link: Value = serde_json::from_str(&link).unwrap();
    let alias = link[0]["ifalias"].as_str().unwrap();
    let alias = alias.replace("/later/", "/dead/");
    pod.net
        .host
        .sh(["ip", "link", "set", "veth1", "alias", &alias]);
    gc(&pod, json!([]));
    assert_eq!(host(), before);
}
