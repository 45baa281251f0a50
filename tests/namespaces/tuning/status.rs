//! STATUS says whether ADD could work on this node.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use super::pod::{Pod, error, succeeds};

fn status(pod: &Pod, mut keys: Value) -> sandbox::plugin::Answer {
    keys["cniVersion"] = json!("1.1.0");
    let mut conf = pod.conf(keys);
    conf.as_object_mut().unwrap().remove("prevResult");
    let call = ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]
        .iter()
        .fold(pod.call("STATUS"), |call, key| call.env(key, ""));
    pod.finish(call.without("CNI_PATH"), &conf)
}

#[test]
fn a_node_where_add_works_is_ready() {
    let pod = Pod::new();
    let keys = json!({"mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}});
    succeeds(&status(&pod, keys));
    assert!(pod.files().is_empty());
}

#[test]
fn a_directory_of_backups_that_cannot_be_written_is_told() {
    let pod = Pod::new();
    let file = pod.scratch.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.to_str().unwrap(), "/proc/no-such-place", "/sys"] {
        let (code, text) = error(&status(&pod, json!({"dataDir": dir})));
        assert_eq!(code, 50, "{text}");
        assert!(
            text.contains(&format!("cannot keep backups in {dir}")),
            "{text}"
        );
    }
}

#[test]
fn a_configuration_that_every_add_would_refuse_is_told() {
    let pod = Pod::new();
    for (keys, code) in [
        (json!({"mtu": -1}), 7),
        (json!({"mac": "x"}), 7),
        (json!({"sysctl": {"kernel.hostname": "x"}}), 7),
        (json!({"promisc": "x"}), 6),
    ] {
        assert_eq!(error(&status(&pod, keys)).0, code);
    }
}

#[test]
fn a_sysctl_that_no_container_has_is_told() {
    let pod = Pod::new();
    let with = |name: &str| json!({"sysctl": {name: "1"}});
    for name in [
        "net.core.somaxcon",
        "net.ipv4.conf.IFNAME.arp_filte",
        "net/ipv6/conf/eth0.1/nothing",
        "net.ipv4.neigh.IFNAME.gc_thresh1",
        // The first namespace's alone.
        "net.core.netdev_budget",
    ] {
        let (code, text) = error(&status(&pod, with(name)));
        assert_eq!(code, 50, "{name}: {text}");
        assert!(
            text.contains(&format!("sysctl {name} does not exist")),
            "{text}"
        );
    }
    for name in [
        "net.core.somaxconn",
        "net.ipv4.conf.IFNAME.arp_filter",
        "net.ipv4.conf.all.arp_filter",
        "net.ipv6.conf.IFNAME.stable_secret",
        "net.ipv4.conf.eth7.arp_filter",
    ] {
        succeeds(&status(&pod, with(name)));
    }
}

#[test]
fn a_sysctl_that_no_container_can_set_is_told_by_status_and_add() {
    let pod = Pod::new();
    // The number of connections is the kernel's to count.
    let name = "net.netfilter.nf_conntrack_count";
    let with = |value: &str| json!({"sysctl": {name: value}});
    let what = "is read-only in a container's namespace";
    let (code, text) = error(&status(&pod, with("7")));
    assert_eq!(code, 50, "{text}");
    assert!(text.contains(&format!("sysctl {name} {what}")), "{text}");
    let (code, text) = error(&pod.run("ADD", with("7")));
    assert_eq!(code, 100, "{text}");
    assert!(text.contains(&format!("it {what}: leave it out")), "{text}");
}

#[test]
fn an_offload_that_the_kernel_does_not_have_is_told() {
    let pod = Pod::new();
    let keys = json!({"offload": {"tso": false}, "hostOffload": {"tx-tcp-sgmentation": false}});
    let (code, text) = error(&status(&pod, keys));
    assert_eq!(code, 50, "{text}");
    assert!(
        text.contains("this kernel has no offload tx-tcp-sgmentation"),
        "{text}"
    );
    assert!(!text.contains("offload tso"), "{text}");
    succeeds(&status(
        &pod,
        json!({"offload": {"tso": false, "rx-gro": true}}),
    ));
}

#[test]
fn many_at_once_are_in_nobody_s_way() {
    let pod = Pod::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    succeeds(&status(&pod, json!({"mtu": 1400})));
                }
            });
        }
    });
    assert!(pod.files().is_empty());
}
