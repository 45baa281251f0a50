//! Attachments whose names run together are told apart.

use sandbox::Topology;
use sandbox::plugin::Answer;
use serde_json::{Value, json};

use super::pod::{IFB, OURS, Pod, both, error, sh, state, succeeds};

/// An attachment of a pod's container: network, container ID, interface.
type Name = (&'static str, &'static str, &'static str);

/// Gives the container a second interface `net1`, whose veth end is `veth1`.
fn second_interface(pod: &Pod) {
    let path = pod.container().path();
    let path = path.display();
    pod.sh("ip link add veth1 type veth peer name net1");
    pod.sh(&format!("ip link set net1 netns {path}"));
    pod.sh("ip link set veth1 up");
    sh(pod.container(), "ip link set net1 up");
}

fn run(pod: &Pod, verb: &str, (network, container, ifname): Name) -> Answer {
    let host = if ifname == "eth0" { "veth0" } else { "veth1" };
    let mut keys = both();
    keys["name"] = json!(network);
    let mut conf = pod.conf(keys);
    conf["prevResult"]["interfaces"] = json!([
        {"name": host}, {"name": ifname, "sandbox": "/run/netns/cont"},
    ]);
    let call = pod
        .call(verb)
        .env("CNI_CONTAINERID", container)
        .env("CNI_IFNAME", ifname);
    pod.finish(call, &conf)
}

/// ADD both, check both, delete one: the other stays whole; then delete that.
fn told_apart(first: Name, second: Name) {
    let pod = Pod::new();
    second_interface(&pod);
    let before = pod.state();
    for (one, other) in [(first, second), (second, first)] {
        for name in [one, other] {
            let answer = run(&pod, "ADD", name);
            assert_eq!(answer.code, Some(0), "{name:?} {answer:?}");
        }
        assert_eq!(pod.ifbs().len(), 2, "{:?}", pod.ifbs());
        for name in [one, other] {
            succeeds(&run(&pod, "CHECK", name));
        }
        succeeds(&run(&pod, "DEL", one));
        succeeds(&run(&pod, "CHECK", other));
        assert_eq!(error(&run(&pod, "CHECK", one)).0, 101);
        // Again, as runtimes do: the other one stays.
        succeeds(&run(&pod, "DEL", one));
        succeeds(&run(&pod, "CHECK", other));
        succeeds(&run(&pod, "DEL", other));
        assert_eq!(pod.state(), before);
    }
}

#[test]
fn two_interfaces_of_one_container_on_one_network() {
    told_apart(("net1", "cid-0001", "eth0"), ("net1", "cid-0001", "net1"));
}

#[test]
fn two_networks_with_one_container_id() {
    told_apart(("net1", "cid-0001", "eth0"), ("net2", "cid-0001", "net1"));
}

#[test]
fn network_and_container_whose_concatenations_are_equal() {
    told_apart(("neta", "b1", "eth0"), ("netab", "1", "net1"));
}

#[test]
fn a_container_with_a_name_too_long_for_the_alias() {
    let long: &'static str = Box::leak("x".repeat(240).into_boxed_str());
    told_apart(("net1", long, "eth0"), ("net1", long, "net1"));
}

#[test]
fn the_second_interface_s_del_leaves_what_the_reference_made_for_the_first() {
    let mut pod = Pod::of(super::pod::REFERENCE);
    second_interface(&pod);
    let first = ("net1", "cid-0001", "eth0");
    let second = ("net1", "cid-0001", "net1");
    assert_eq!(run(&pod, "ADD", first).code, Some(0));
    pod.plugin = OURS;
    let limited = pod.state();
    assert_eq!(run(&pod, "ADD", second).code, Some(0));
    succeeds(&run(&pod, "CHECK", first));
    succeeds(&run(&pod, "CHECK", second));
    for _ in 0..2 {
        succeeds(&run(&pod, "DEL", second));
        assert_eq!(pod.state(), limited);
    }
    // The second DEL of every pod that containerd sends: without namespace and result.
    let call = pod
        .call("DEL")
        .without("CNI_NETNS")
        .env("CNI_IFNAME", "net1");
    succeeds(&pod.finish(
        call,
        &json!({"cniVersion": "1.0.0", "name": "net1", "type": "bandwidth"}),
    ));
    assert_eq!(pod.state(), limited);
}

#[test]
fn a_device_of_another_kind_with_the_ifb_s_name_is_left_alone() {
    let pod = Pod::new();
    pod.sh(&format!("ip link add {IFB} type bridge"));
    let before = pod.state();
    let result = pod.add(both());
    let names: Vec<&Value> = result["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["name"])
        .collect();
    assert!(!names.contains(&&json!(IFB)), "{names:?}");
    pod.check(both());
    pod.del(both());
    assert_eq!(pod.state(), before);
    pod.del(both());
    assert_eq!(pod.state(), before);
}

#[test]
fn a_host_link_of_the_same_index_in_another_container_is_never_taken_for_the_peer() {
    // Two containers, each with a veth to a third namespace whose peer has a number that also exists
    // in the host.
    let pod = Pod::in_net(OURS, &Topology::new().containers(2));
    let (one, other) = (&pod.net.containers[0], &pod.net.containers[1]);
    let path = other.path();
    sh(
        one,
        &format!(
            "ip link add far type veth peer name near netns {}",
            path.display()
        ),
    );
    sh(one, "ip link set far up");
    let before = state(&pod.net.host);
    let mut conf = pod.conf(both());
    conf["prevResult"]["interfaces"] = json!([]);
    for verb in ["ADD", "CHECK"] {
        let call = pod.call(verb).env("CNI_IFNAME", "far");
        let (code, text) = error(&pod.finish(call, &conf));
        assert_eq!(code, 7, "{text}");
        assert!(text.contains("no veth peer"), "{text}");
    }
    assert_eq!(state(&pod.net.host), before);
}

#[test]
fn an_interface_of_another_kind_than_the_one_in_the_result_is_refused() {
    let pod = Pod::new();
    let inside = pod.container();
    sh(inside, "ip link add link eth0 name net1 type macvlan");
    sh(inside, "ip link set net1 up");
    let before = (state(&pod.net.host), state(inside));
    // The result names the veth of eth0.
    let call = pod.call("ADD").env("CNI_IFNAME", "net1");
    let (code, text) = error(&pod.finish(call, &pod.conf(both())));
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("no veth peer"), "{text}");
    assert_eq!((state(&pod.net.host), state(inside)), before);
}

#[test]
fn the_late_del_of_an_earlier_container_of_the_namespace_leaves_the_later_one_s_limits() {
    let (first, second) = (("net1", "a", "eth0"), ("net1", "b", "eth0"));
    for netns in ["", "/run/netns/nowhere"] {
        let pod = Pod::new();
        let before = pod.state();
        for name in [first, second] {
            let answer = run(&pod, "ADD", name);
            assert_eq!(answer.code, Some(0), "{name:?} {answer:?}");
        }
        let call = pod.call("DEL").env("CNI_CONTAINERID", "a");
        succeeds(&pod.finish(call.env("CNI_NETNS", netns), &pod.conf(both())));
        succeeds(&run(&pod, "CHECK", second));
        succeeds(&run(&pod, "DEL", first));
        succeeds(&run(&pod, "CHECK", second));
        succeeds(&run(&pod, "DEL", second));
        assert_eq!(pod.state(), before);
    }
}
