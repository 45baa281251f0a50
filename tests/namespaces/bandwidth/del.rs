//! DEL takes everything back, with whatever request, and succeeds where nothing is left to do.

use serde_json::{Value, json};

use sandbox::Topology;

use super::pod::{IFB, OURS, Pod, both, succeeds};

fn bare() -> Value {
    json!({"cniVersion": "1.0.0", "name": "net1", "type": "bandwidth"})
}

#[test]
fn del_needs_neither_limits_nor_a_sound_configuration() {
    for keys in [
        json!({}),
        json!({"ingressRate": 8}),
        json!({"ingressRate": "x", "egressRate": -1}),
        json!({"prevResult": null}),
        json!({"prevResult": 7}),
        json!({"prevResult": {"interfaces": [null]}}),
        json!({"prevResult": {"interfaces": [{"name": "veth7"}]}}),
        json!({"runtimeConfig": [], "shapedSubnets": 1, "latencyMs": "x"}),
    ] {
        let pod = Pod::new();
        let before = pod.state();
        pod.add(both());
        succeeds(&pod.run("DEL", keys.clone()));
        assert_eq!(pod.state(), before, "{keys}");
    }
}

#[test]
fn del_without_namespace_and_result_finds_the_ifb_and_by_it_the_veth() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(both());
    for _ in 0..2 {
        let call = pod.call("DEL").env("CNI_NETNS", "");
        succeeds(&pod.finish(call, &bare()));
        assert_eq!(pod.state(), before);
    }
}

#[test]
fn del_without_namespace_finds_the_veth_that_the_result_names_unless_it_is_another_by_now() {
    let keys = || json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    for netns in ["", "/run/netns/nowhere"] {
        let pod = Pod::new();
        let before = pod.state();
        pod.add(keys());
        let limited = pod.state();
        let conf = pod.conf(keys());
        let mut other = conf.clone();
        other["prevResult"]["interfaces"][0]["mac"] = json!("02:00:00:00:00:99");
        let call = || pod.call("DEL").env("CNI_NETNS", netns);
        // Without a mark, as an earlier release left it, the address decides.
        let mark = ["ip", "link", "set", "veth0", "alias"];
        pod.host().try_sh(&[&mark[..], &[""]].concat()).unwrap();
        let limited_before = limited;
        let limited = pod.state();
        assert_ne!(limited, limited_before);
        // The same name, another address.
        succeeds(&pod.finish(call(), &other));
        assert_eq!(pod.state(), limited);
        succeeds(&pod.finish(call(), &conf));
        assert_eq!(pod.state(), before);
    }
}

#[test]
fn del_without_namespace_and_result_finds_by_their_marks_a_veth_and_an_ifb_of_another_name() {
    let pod = Pod::new();
    let before = pod.state();
    let call = || pod.call("DEL").env("CNI_NETNS", "");
    pod.add(json!({"ingressRate": 8_000_000}));
    succeeds(&pod.finish(call(), &bare()));
    assert_eq!(pod.state(), before);
    pod.add(both());
    pod.sh(&format!(
        "ip link set {IFB} down; ip link set {IFB} name other"
    ));
    succeeds(&pod.finish(call(), &bare()));
    assert_eq!(pod.state(), before);
}

#[test]
fn del_with_a_path_that_is_another_container_s_by_now_takes_its_own_limits_and_leaves_the_other_s()
{
    let towards = || json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    let from = || json!({"egressRate": 8_000_000, "egressBurst": 800_000});
    let other = |verb: &str, pod: &Pod, conf: &Value| {
        let call = pod.call(verb).env("CNI_CONTAINERID", "cid-0002");
        let answer = pod.finish(call.netns(&pod.net.containers[1]), conf);
        assert_eq!(answer.code, Some(0), "{verb}: {answer:?}");
    };
    for keys in [towards(), from(), both()] {
        for others in [None, Some(towards()), Some(from()), Some(both())] {
            let pod = Pod::in_net(OURS, &Topology::new().containers(2));
            let mut conf = pod.conf(others.clone().unwrap_or(json!({})));
            conf["prevResult"]["interfaces"][0] = json!({"name": "veth1"});
            if others.is_some() {
                other("ADD", &pod, &conf);
            }
            let before = pod.state();
            // Also where the result does not have the address of the veth's end.
            for interface in [
                json!({"name": "veth0"}),
                json!({"name": "veth0", "mac": "02:00:00:00:00:0a"}),
            ] {
                let mut keys = keys.clone();
                pod.add(keys.clone());
                keys["prevResult"] = pod.conf(json!({}))["prevResult"].take();
                keys["prevResult"]["interfaces"][0] = interface;
                let call = pod.call("DEL").netns(&pod.net.containers[1]);
                succeeds(&pod.finish(call, &pod.conf(keys.clone())));
                assert_eq!(pod.state(), before, "{keys} {others:?}");
            }
            if others.is_some() {
                other("CHECK", &pod, &conf);
            }
        }
    }
}

#[test]
fn of_two_containers_with_one_interface_the_later_one_keeps_its_limit() {
    let towards = || json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    let pod = Pod::new();
    let before = pod.state();
    let run = |verb: &str, container: &str| {
        let call = pod.call(verb).env("CNI_CONTAINERID", container);
        pod.finish(call, &pod.conf(towards()))
    };
    for container in ["earlier", "later"] {
        assert_eq!(run("ADD", container).code, Some(0));
    }
    succeeds(&run("DEL", "earlier"));
    succeeds(&run("CHECK", "later"));
    succeeds(&run("DEL", "later"));
    assert_eq!(pod.state(), before);
}

#[test]
fn del_frees_a_veth_whose_ifb_somebody_deleted() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(both());
    pod.sh(&format!("ip link del {IFB}"));
    pod.del(both());
    assert_eq!(pod.state(), before);
}

#[test]
fn an_alias_of_somebody_else_stays() {
    let towards = || json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    let pod = Pod::new();
    pod.sh("ip link set veth0 alias uplink");
    let before = pod.state();
    pod.add(towards());
    pod.check(towards());
    assert!(pod.sh("ip link show veth0").contains("alias uplink"));
    pod.del(towards());
    assert_eq!(pod.state(), before);
}

#[test]
fn del_succeeds_when_the_namespace_is_gone_or_was_never_one_of_networks() {
    for netns in ["/run/netns/nowhere", "/proc/self/ns/mnt"] {
        let pod = Pod::new();
        pod.add(both());
        pod.sh("ip link del veth0");
        let call = pod.call("DEL").env("CNI_NETNS", netns);
        succeeds(&pod.finish(call, &pod.conf(both())));
        assert_eq!(pod.ifbs(), Vec::<String>::new());
    }
}

#[test]
fn del_where_nothing_was_ever_added_changes_nothing() {
    let pod = Pod::new();
    pod.sh("tc qdisc add dev veth0 ingress");
    pod.sh("ip link add other type ifb");
    let before = pod.state();
    pod.del(both());
    pod.del(json!({}));
    let call = pod.call("DEL").env("CNI_IFNAME", "net7");
    succeeds(&pod.finish(call, &bare()));
    assert_eq!(pod.state(), before);
}

#[test]
fn del_removes_an_ifb_that_nobody_marked_and_nobody_uses() {
    let pod = Pod::new();
    let before = pod.state();
    pod.sh(&format!("ip link add {IFB} type ifb"));
    let call = pod.call("DEL").env("CNI_NETNS", "");
    succeeds(&pod.finish(call, &bare()));
    assert_eq!(pod.state(), before);
}

#[test]
fn del_does_not_believe_a_mark_that_names_a_link_of_somebody_else() {
    let pod = Pod::new();
    pod.sh("ip link add other0 type veth peer name other1");
    pod.sh("tc qdisc add dev other0 root handle 1: tbf rate 1mbit burst 5000 limit 9000");
    let before = pod.state();
    let other = pod.sh("ip -o link show other0");
    let index = other.split(':').next().unwrap();
    pod.sh(&format!("ip link add {IFB} type ifb"));
    let words = ["ip", "link", "set", IFB, "alias"];
    let alias = format!("cni-bandwidth net1/cid-0001/eth0 link={index} hook=made root=made");
    pod.host()
        .try_sh(&[&words[..], &[&alias]].concat())
        .unwrap();
    let call = pod.call("DEL").env("CNI_NETNS", "");
    succeeds(&pod.finish(call, &bare()));
    assert_eq!(pod.state(), before);
}
