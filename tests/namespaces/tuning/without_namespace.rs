//! DEL where there is nothing to restore any more: it leaves no file and succeeds.

use std::fs;

use sandbox::plugin::Call;
use serde_json::{Value, json};

use super::pod::{OURS, Pod, error, succeeds};
use super::state::assert_state;

/// DEL with `CNI_NETNS` as given, or without the variable.
fn del(pod: &Pod, netns: Option<&str>) -> sandbox::plugin::Answer {
    let call = Call::new(OURS, "DEL");
    let call = match netns {
        Some(netns) => call.env("CNI_NETNS", netns),
        None => call,
    };
    let mut conf = pod.conf(json!({"mtu": 1400}));
    conf.as_object_mut().unwrap().remove("prevResult");
    pod.finish(call, &conf)
}

#[test]
fn del_without_namespace_removes_the_backup() {
    let pod = Pod::new();
    let file = pod.scratch.path().join("a-file");
    fs::write(&file, "not a network namespace").unwrap();
    let file = file.to_str().unwrap();
    for netns in [
        None,
        Some(""),
        Some("/run/netns/is-gone"),
        Some(file),
        Some("/proc/self/fd"),
    ] {
        pod.add(json!({"mtu": 1400}));
        assert_eq!(pod.files().len(), 1);
        succeeds(&del(&pod, netns));
        assert!(pod.files().is_empty(), "{netns:?}");
        pod.ip(["link", "set", "eth0", "mtu", "1500"]);
        succeeds(&del(&pod, netns));
    }
}

#[test]
fn del_of_an_unmounted_namespace_removes_the_backup() {
    let pod = Pod::new();
    let path = pod.scratch.path().join("netns");
    let bound = pod.container().namespace.bind(&path).unwrap();
    let call = Call::new(OURS, "ADD").env("CNI_NETNS", path.to_str().unwrap());
    assert_eq!(
        pod.finish(call, &pod.conf(json!({"mtu": 1400}))).code,
        Some(0)
    );
    drop(bound);
    fs::write(&path, "").unwrap();
    succeeds(&del(&pod, path.to_str()));
    assert!(pod.files().is_empty());
}

#[test]
fn del_of_what_was_never_added_succeeds() {
    let pod = Pod::new();
    let before = pod.state();
    pod.del(json!({"mtu": 1400}));
    succeeds(&del(&pod, None));
    let long = "x".repeat(300);
    let call = pod.call("DEL").env("CNI_CONTAINERID", &long);
    succeeds(&pod.finish(call, &pod.conf(json!({}))));
    assert_state!(pod.state(), before);
    assert!(!pod.data_dir().exists(), "DEL makes no directory");
}

#[test]
fn a_backup_that_cannot_be_read_is_removed_with_a_warning() {
    let pod = Pod::new();
    for content in ["", "{\"mtu\": 15", "null", "\0\0\0\0", "[1]"] {
        fs::create_dir_all(pod.data_dir()).unwrap();
        fs::write(pod.backup(), content).unwrap();
        let answer = pod.run("DEL", json!({}));
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(0), ""),
            "{content:?}"
        );
        assert!(
            answer.stderr.contains(" level=warning ") && answer.stderr.contains("msg=\"backup /"),
            "{}",
            answer.stderr
        );
        assert!(pod.files().is_empty(), "{content:?}");
    }
}

#[test]
fn what_is_sound_in_a_damaged_backup_is_restored() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(json!({"mtu": 1400, "txQLen": 5}));
    let mut backup: Value = serde_json::from_slice(&fs::read(pod.backup()).unwrap()).unwrap();
    backup["mac"] = json!("nonsense");
    backup["sysctl"] = json!({"net/../kernel/hostname": "owned"});
    fs::write(pod.backup(), backup.to_string()).unwrap();
    let answer = pod.run("DEL", json!({}));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("nonsense") && answer.stderr.contains("kernel/hostname"));
    assert_state!(pod.state(), before);
}

#[test]
fn add_does_not_overwrite_a_backup_that_it_cannot_read() {
    let pod = Pod::new();
    let before = pod.state();
    fs::create_dir_all(pod.data_dir()).unwrap();
    fs::write(pod.backup(), "{\"mtu\": 15").unwrap();
    let (code, text) = error(&pod.run("ADD", json!({"mtu": 1400})));
    assert_eq!(code, 5);
    assert!(text.contains("run DEL for this attachment"), "{text}");
    assert_state!(pod.state(), before);
    assert_eq!(pod.run("DEL", json!({})).code, Some(0));
    // What a crash of the machine left of a file is no record.
    for nothing in ["", "\0\0\0\0"] {
        fs::write(pod.backup(), nothing).unwrap_or_else(|_| panic!("{nothing:?}"));
        pod.add(json!({"mtu": 1400}));
        pod.del(json!({}));
        assert_state!(pod.state(), before);
    }
}

#[test]
fn a_namespace_of_another_kind_is_an_error_for_add_and_nothing_to_restore_for_del() {
    let pod = Pod::new();
    let before = pod.state();
    let mount = "/proc/self/ns/mnt";
    let call = Call::new(OURS, "ADD").env("CNI_NETNS", mount);
    let (code, text) = error(&pod.finish(call, &pod.conf(json!({"mtu": 1400}))));
    assert_eq!(code, 8);
    assert!(text.contains(mount), "{text}");
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
    succeeds(&del(&pod, Some(mount)));
    pod.add(json!({"mtu": 1400}));
    succeeds(&del(&pod, Some(mount)));
    assert!(pod.files().is_empty());
}
