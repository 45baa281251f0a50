//! Whose veth it is: an end in the host counts only where both ends are known to belong together.

use sandbox::Namespace;
use sandbox::plugin::Call;
use serde_json::json;

use super::pod::{OURS, Pod, both, error, sh, state, succeeds};

/// Somebody's pair of the host, both ends in it, with a limit of their own.
fn pair_of_the_host(pod: &Pod) {
    pod.sh("ip link add here index 50 type veth peer name there index 51");
    pod.sh("tc qdisc add dev here root handle 1: tbf rate 100mbit burst 64kb latency 25ms");
    pod.sh("tc qdisc add dev there root handle 1: tbf rate 100mbit burst 64kb latency 25ms");
    pod.sh("ip link set here up; ip link set there up");
}

/// ADD and CHECK refuse that interface of a namespace, DEL has nothing to do, the host stays as it is.
#[track_caller]
fn is_nobody_s(pod: &Pod, namespace: &Namespace, ifname: &str) {
    let before = state(pod.host());
    for (interfaces, name) in [
        (json!([{"name": ifname, "sandbox": "/x"}]), "its own"),
        (
            json!([{"name": "here", "mac": "02:00:00:00:00:0d"}]),
            "a veth",
        ),
        (json!([]), "none"),
    ] {
        let mut conf = pod.conf(both());
        conf["prevResult"]["interfaces"] = interfaces;
        for verb in ["ADD", "CHECK", "DEL"] {
            let call = Call::new(OURS, verb)
                .netns(namespace)
                .env("CNI_IFNAME", ifname);
            let answer = pod.finish(call, &conf);
            if verb == "DEL" {
                succeeds(&answer);
            } else {
                let (code, text) = error(&answer);
                assert_eq!(code, 7, "{verb} {name}: {text}");
                assert!(text.contains("no veth peer in the host"), "{verb}: {text}");
            }
            assert_eq!(state(pod.host()), before, "{verb} {name}");
        }
    }
}

#[test]
fn a_pair_inside_a_container_without_a_number_on_the_host_limits_nothing_there() {
    let pod = Pod::new();
    pair_of_the_host(&pod);
    let alone = Namespace::new().unwrap();
    sh(
        &alone,
        "ip link add eth0 index 51 type veth peer name x index 50",
    );
    is_nobody_s(&pod, &alone, "eth0");
}

#[test]
fn a_pair_inside_a_container_that_also_has_a_veth_into_the_host_limits_nothing_there() {
    let pod = Pod::new();
    pair_of_the_host(&pod);
    let inside = pod.container();
    sh(
        inside,
        "ip link add net1 index 51 type veth peer name x index 50",
    );
    is_nobody_s(&pod, inside, "net1");
}

#[test]
fn a_pair_between_two_containers_limits_nothing_on_the_host() {
    let pod = Pod::new();
    pair_of_the_host(&pod);
    let other = Namespace::new().unwrap();
    let inside = pod.container();
    sh(inside, "ip link add net1 index 51 type veth peer name x");
    sh(
        inside,
        &format!("ip link set x netns {} index 50", other.path().display()),
    );
    is_nobody_s(&pod, inside, "net1");
    is_nobody_s(&pod, &other, "x");
}

#[test]
fn a_pair_between_two_containers_with_the_indices_of_a_pod_s_veth_limits_nothing() {
    let pod = Pod::new();
    let index = |namespace: &Namespace, link: &str| {
        let line = sh(namespace, &format!("ip -o link show {link}"));
        line.split(':').next().unwrap().to_owned()
    };
    let (veth0, eth0) = (index(pod.host(), "veth0"), index(pod.container(), "eth0"));
    let (one, other) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let path = other.path().display().to_string();
    sh(
        &one,
        &format!("ip link add net1 index {eth0} type veth peer name x index 99"),
    );
    sh(&one, &format!("ip link set x netns {path} index {veth0}"));
    // The second container has a number on the host.
    pod.sh(&format!(
        "ip link add veth7 type veth peer name up netns {path}"
    ));
    is_nobody_s(&pod, &one, "net1");
}

#[test]
fn the_host_s_numbers_for_namespaces_that_a_container_gives_itself_help_it_nothing() {
    let pod = Pod::new();
    pair_of_the_host(&pod);
    let alone = Namespace::new().unwrap();
    // A number for a namespace of its own, and the one that the host has for a pod.
    sh(
        &alone,
        "ip link add eth0 index 51 type veth peer name x index 50",
    );
    let path = pod.container().path().display().to_string();
    sh(
        &alone,
        &format!("ip link add up type veth peer name down netns {path}"),
    );
    is_nobody_s(&pod, &alone, "eth0");
}

#[test]
fn a_veth_of_the_host_alone_is_not_freed_because_a_result_names_it() {
    let pod = Pod::new();
    pair_of_the_host(&pod);
    pod.sh("ip link set here address 02:00:00:00:00:0d");
    let before = pod.state();
    let mut conf = pod.conf(both());
    conf["prevResult"]["interfaces"] = json!([{"name": "here", "mac": "02:00:00:00:00:0d"}]);
    for netns in ["", "/run/netns/nowhere"] {
        let call = pod.call("DEL").env("CNI_NETNS", netns);
        succeeds(&pod.finish(call, &conf));
        assert_eq!(pod.state(), before, "{netns:?}");
    }
}

#[test]
fn a_veth_of_another_container_is_not_freed_because_a_result_names_it() {
    let pod = Pod::new();
    let keys = || json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    pod.add(keys());
    let before = pod.state();
    let other = Namespace::new().unwrap();
    let call = || Call::new(OURS, "DEL").netns(&other);
    // The other one's namespace is known, and the veth does not lead there.
    succeeds(&pod.finish(call().env("CNI_CONTAINERID", "cid-0002"), &pod.conf(keys())));
    assert_eq!(pod.state(), before);
}

#[test]
fn results_that_name_no_end_in_the_host_are_understood_from_the_namespace() {
    let pod = Pod::new();
    pod.sh("ip link add br0 type bridge");
    let before = pod.state();
    for interfaces in [
        // Azure's, Terway's, a bridge alone, and a node whose own interface has that name, too.
        json!([{"name": "eth0", "mac": "02:00:00:00:00:0c"}]),
        json!([{"name": "eth0"}]),
        json!([{"name": "br0"}]),
        json!([{"name": "br0"}, {"name": "eth0", "sandbox": "/x"}]),
        json!([{"name": "veth0"}]),
        json!([{"name": "no name at all, /"}, {"name": "veth0"}, {"name": ""}]),
    ] {
        let mut conf = pod.conf(both());
        conf["prevResult"]["interfaces"] = interfaces.clone();
        let answer = pod.finish(pod.call("ADD"), &conf);
        assert_eq!(answer.code, Some(0), "{interfaces}: {answer:?}");
        conf["prevResult"] = serde_json::from_str(&answer.stdout).unwrap();
        assert!(pod.root("veth0").contains("rate 8Mbit"), "{interfaces}");
        succeeds(&pod.finish(pod.call("CHECK"), &conf));
        succeeds(&pod.finish(pod.call("DEL"), &conf));
        assert_eq!(pod.state(), before, "{interfaces}");
    }
}
