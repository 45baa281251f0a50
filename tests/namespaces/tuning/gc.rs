//! GC removes the backups of this network's dead attachments, and no others.

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::pod::{Pod, error, succeeds};

/// GC of `network`, with the variables present and empty as containerd and CRI-O send them.
fn gc(pod: &Pod, network: &str, valid: Value) -> sandbox::plugin::Answer {
    let call = ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]
        .iter()
        .fold(pod.call("GC"), |call, key| call.env(key, ""));
    let keys = json!({
        "cniVersion": "1.1.0", "name": network, "cni.dev/valid-attachments": valid,
    });
    pod.finish(call, &pod.conf(keys))
}

fn add(pod: &Pod, network: &str, container: &str) {
    let call = pod.call("ADD").env("CNI_CONTAINERID", container);
    let answer = pod.finish(call, &pod.conf(json!({"mtu": 1400, "name": network})));
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

#[test]
fn where_a_file_takes_the_place_of_the_directory_there_is_nothing_to_collect() {
    let pod = Pod::new();
    fs::write(pod.data_dir(), "a file").unwrap();
    succeeds(&gc(&pod, "net1", json!([])));
    pod.del(json!({}));
    assert_eq!(fs::read_to_string(pod.data_dir()).unwrap(), "a file");
}

#[test]
fn backups_of_dead_attachments_of_this_network_go_and_all_others_stay() {
    let pod = Pod::new();
    for (network, container) in [
        ("net1", "a"),
        ("net1", "b_eth0"),
        ("net1", "c"),
        ("net2", "d"),
    ] {
        add(&pod, network, container);
    }
    let others = ["e_eth0.json", "notes.txt", "broken_eth0.json"];
    fs::write(pod.data_dir().join(others[0]), "{\"mtu\": 1500}").unwrap();
    fs::write(pod.data_dir().join(others[1]), "net1").unwrap();
    fs::write(pod.data_dir().join(others[2]), "{").unwrap();
    let valid = json!([
        {"containerID": "a", "ifname": "eth0"},
        {"containerID": "c", "ifname": "net7"},
        {"containerID": "x", "ifname": "eth0"},
    ]);
    succeeds(&gc(&pod, "net1", valid));
    let left = [
        "a_eth0.json",
        "broken_eth0.json",
        "d_eth0.json",
        "e_eth0.json",
        "notes.txt",
    ];
    assert_eq!(pod.files(), left);
    // A live container is not touched.
    assert_eq!(pod.link().unwrap().mtu, 1400);
}

#[test]
fn without_valid_attachments_every_backup_of_the_network_goes() {
    let pod = Pod::new();
    for valid in [json!([]), json!(null)] {
        add(&pod, "net1", "a");
        add(&pod, "net2", "b");
        succeeds(&gc(&pod, "net1", valid));
        assert_eq!(pod.files(), ["b_eth0.json"]);
    }
}

#[test]
fn a_file_whose_writer_was_killed_goes_when_it_is_old_enough() {
    let pod = Pod::new();
    fs::create_dir_all(pod.data_dir()).unwrap();
    for (name, age) in [(".a_eth0.json.tmp", 3600), (".b_eth0.json.tmp", 0)] {
        let file = fs::File::create(pod.data_dir().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age))
            .unwrap();
    }
    succeeds(&gc(&pod, "net1", json!([])));
    assert_eq!(pod.files(), [".b_eth0.json.tmp"]);
}

#[test]
fn what_cannot_be_understood_removes_nothing() {
    let pod = Pod::new();
    add(&pod, "net1", "a");
    for valid in [
        json!(5),
        json!([5]),
        json!([{"containerID": 5, "ifname": "eth0"}]),
        json!([null]),
    ] {
        assert_eq!(error(&gc(&pod, "net1", valid)).0, 6);
    }
    for valid in [json!([{"containerID": "a"}]), json!([{"ifname": "eth0"}])] {
        assert_eq!(error(&gc(&pod, "net1", valid)).0, 7);
    }
    assert_eq!(pod.files(), ["a_eth0.json"]);
}
