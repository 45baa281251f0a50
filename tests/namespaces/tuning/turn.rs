//! One change of an attachment at a time: whatever runs beside an ADD, no value stays without its backup.

use std::thread;

use sandbox::plugin::{Answer, Running};
use serde_json::{Value, json};

use super::pod::{Pod, succeeds};
use super::state::assert_state;
use crate::faults::{held_at, until_it_waits};

fn keys() -> Value {
    json!({
        "mtu": 1400, "txQLen": 77, "cniVersion": "1.1.0",
        "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"},
    })
}

/// A verb that has started; GC with or without the attachment among the valid ones.
fn start(pod: &Pod, verb: &str, is_valid: bool) -> Running {
    let mut keys = keys();
    let own = json!([{"containerID": sandbox::plugin::CONTAINER_ID, "ifname": "eth0"}]);
    keys["cni.dev/valid-attachments"] = if is_valid { own } else { json!([]) };
    let call = pod.call(verb).stdin(pod.conf(keys).to_string());
    call.spawn(pod.host()).unwrap()
}

/// Runs an ADD and does `meanwhile` once its backup is there, and before the first change.
fn beside_an_add(pod: &Pod, meanwhile: impl FnOnce()) -> Answer {
    let add = pod.call("ADD").stdin(pod.conf(keys()).to_string());
    let held = || {
        assert_eq!(pod.files().len(), 1);
        meanwhile();
    };
    held_at(pod.host(), &add, 2, held).unwrap()
}

#[test]
fn a_del_waits_for_an_add_and_restores_what_that_has_set() {
    let pod = Pod::new();
    let before = pod.state();
    let mut del = None;
    let add = beside_an_add(&pod, || {
        let running = start(&pod, "DEL", true);
        until_it_waits(&running);
        del = Some(running);
    });
    assert_eq!(add.code, Some(0), "{add:?}");
    succeeds(&del.unwrap().wait().unwrap());
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
}

#[test]
fn gc_leaves_what_is_being_added_and_waits_for_nobody() {
    let pod = Pod::new();
    let before = pod.state();
    let add = beside_an_add(&pod, || {
        let gc = start(&pod, "GC", false).wait().unwrap();
        assert_eq!(gc.code, Some(0), "{gc:?}");
        assert!(gc.stderr.contains("is being changed"), "{gc:?}");
    });
    assert_eq!(add.code, Some(0), "{add:?}");
    assert_eq!(pod.files().len(), 1);
    pod.del(json!({}));
    assert_state!(pod.state(), before);
    // Then it is dead.
    pod.add(keys());
    succeeds(&start(&pod, "GC", false).wait().unwrap());
    assert!(pod.files().is_empty());
}

#[test]
fn an_add_that_is_stopped_keeps_no_del_from_restoring_and_another_add_says_for_what_it_waited() {
    let pod = Pod::new();
    let before = pod.state();
    beside_an_add(&pod, || {
        let [add, del] = ["ADD", "DEL"].map(|verb| start(&pod, verb, true));
        let (add, del) = (add.wait().unwrap(), del.wait().unwrap());
        let error: Value = serde_json::from_str(&add.stdout).unwrap();
        assert_eq!(error["code"], 11, "{error}");
        assert!(
            error.to_string().contains("/run/cni/tuning/lock"),
            "{error}"
        );
        assert_eq!(del.code, Some(0), "{del:?}");
        assert!(del.stderr.contains("DEL continues"), "{del:?}");
        assert_state!(pod.state(), before);
        assert!(pod.files().is_empty());
    });
}

#[test]
fn whatever_runs_at_once_every_value_has_its_backup() {
    let pod = Pod::new();
    let before = pod.state();
    for round in 0..10 {
        thread::scope(|scope| {
            for verb in ["ADD", "ADD", "DEL", "GC"].repeat(4) {
                let pod = &pod;
                scope.spawn(move || {
                    let answer = start(pod, verb, true).wait().unwrap();
                    assert_eq!(answer.code, Some(0), "{answer:?}");
                });
            }
        });
        pod.del(json!({}));
        assert_state!(pod.state(), before, "round {round}");
        assert!(pod.files().is_empty());
    }
}
