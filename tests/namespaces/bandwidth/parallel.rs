//! Many containers of one host at once.

use std::thread;

use sandbox::Topology;
use sandbox::plugin::Call;
use serde_json::json;

use super::pod::{OURS, Pod, both, ifbs, state};

#[test]
fn two_interfaces_of_each_container_are_added_at_once_and_get_an_ifb_each() {
    let pod = Pod::in_net(OURS, &Topology::new().containers(6));
    let host = &pod.net.host;
    for (number, container) in pod.net.containers.iter().enumerate() {
        let path = container.path().display().to_string();
        pod.sh(&format!(
            "ip link add second{number} type veth peer name net1 netns {path}"
        ));
    }
    let before = state(host);
    let all = |verb: &str| {
        thread::scope(|scope| {
            for (number, container) in pod.net.containers.iter().enumerate() {
                for (ifname, veth) in [("eth0", "veth"), ("net1", "second")] {
                    let mut conf = pod.conf(both());
                    conf["prevResult"]["interfaces"] = json!([{"name": format!("{veth}{number}")}]);
                    let call = Call::new(OURS, verb)
                        .netns(container)
                        .env("CNI_CONTAINERID", &format!("container-{number}"))
                        .env("CNI_IFNAME", ifname)
                        .stdin(conf.to_string());
                    scope.spawn(move || {
                        let answer = call.run(host).unwrap();
                        assert_eq!(answer.code, Some(0), "{verb} {ifname} {number}: {answer:?}");
                    });
                }
            }
        });
    };
    for _ in 0..6 {
        all("ADD");
        assert_eq!(ifbs(host).len(), 12);
        all("CHECK");
        all("DEL");
        assert_eq!(state(host), before);
    }
}

/// Whatever comes last, the attachment has its limits or nothing.
#[test]
fn verbs_of_one_attachment_take_turns() {
    let pod = Pod::new();
    let before = pod.state();
    let mut keys = both();
    keys["cniVersion"] = json!("1.1.0");
    keys["cni.dev/valid-attachments"] = json!([{"containerID": "cid-0001", "ifname": "eth0"}]);
    for round in 0..8 {
        thread::scope(|scope| {
            for verb in ["ADD", "ADD", "DEL", "GC"].repeat(2) {
                scope.spawn(|| {
                    let answer = pod.run(verb, keys.clone());
                    assert_eq!(answer.code, Some(0), "{round}: {answer:?}");
                });
            }
        });
        if pod.state() != before {
            pod.check(both());
        }
        pod.del(both());
        assert_eq!(pod.state(), before, "{round}");
    }
}
