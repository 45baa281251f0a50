//! STATUS says whether ADD could work on this node.

use std::fs;

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
