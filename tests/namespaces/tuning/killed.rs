//! SIGKILL at every system call of ADD and of DEL: another DEL leaves nothing.

use std::fs;

use common::Attachment;
use serde_json::{Value, json};

use super::pod::{Pod, error};
use super::state::assert_state;
use crate::faults::killed_at_each;

fn keys() -> Value {
    json!({
        "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true,
        "txQLen": 77, "sysctl": {
            "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1",
            "net.ipv4.ip_local_port_range": "1024 65000",
        },
    })
}

/// Kills a verb at every system call, and expects nothing to be left after the DEL that follows.
#[track_caller]
fn del_leaves_nothing_after_a_killed(verb: &str, begin: impl Fn(&Pod)) {
    let pod = Pod::new();
    let before = pod.state();
    let call = pod.call(verb).stdin(pod.conf(keys()).to_string());
    let kills = killed_at_each(
        pod.host(),
        &call,
        || begin(&pod),
        |at| {
            pod.del(keys());
            assert_state!(pod.state(), before, "{at}");
            assert!(pod.files().is_empty(), "{at}: {:?}", pod.files());
        },
    );
    assert!(kills > 20, "{kills}");
}

#[test]
fn whenever_an_add_is_killed_del_leaves_nothing() {
    // The directory is made by each.
    del_leaves_nothing_after_a_killed("ADD", |pod| drop(fs::remove_dir(pod.data_dir())));
}

#[test]
fn whenever_a_del_is_killed_another_del_leaves_nothing() {
    del_leaves_nothing_after_a_killed("DEL", |pod| drop(pod.add(keys())));
}

#[test]
fn a_temporary_file_that_a_killed_add_left_goes_with_del_and_does_not_hinder_add() {
    let pod = Pod::new();
    fs::create_dir_all(pod.data_dir()).unwrap();
    let owner = Attachment {
        network: "net1".into(),
        container: "cid-0001".into(),
        ifname: "eth0".into(),
    };
    let own = owner.exact_name("tuning-", 39);
    let temporary = pod.data_dir().join(format!(".{own}.json.tmp"));
    fs::write(&temporary, "{\"mtu\": 15").unwrap();
    pod.del(json!({}));
    assert!(pod.files().is_empty());
    fs::write(&temporary, "{\"mtu\": 15").unwrap();
    pod.add(json!({"mtu": 1400}));
    assert_eq!(pod.files(), ["cid-0001_eth0.json"]);
    error(&pod.run("ADD", json!({"mtu": 1_000_000})));
    assert_eq!(pod.files(), ["cid-0001_eth0.json"]);
}
