//! The directory of backups: where it is, who may read it, and what happens when it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use super::pod::{Pod, assert_state, error};

#[test]
fn a_backup_has_the_reference_s_name_and_keys_and_is_for_root_alone() {
    let pod = Pod::new();
    pod.add(json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "500"}}));
    assert_eq!(pod.files(), ["cid-0001_eth0.json"]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(pod.data_dir()), mode(pod.backup())), (0o700, 0o600));
    let backup: Value = serde_json::from_slice(&fs::read(pod.backup()).unwrap()).unwrap();
    assert_eq!(
        (&backup["mtu"], &backup["network"]),
        (&json!(1500), &json!("net1"))
    );
    assert_eq!(backup["sysctl"], json!({"net/core/somaxconn": "4096"}));
    assert!(backup.get("mac").is_none() && backup.get("promisc").is_none());
    pod.del(json!({}));
}

#[test]
fn without_anything_to_set_nothing_is_written() {
    let pod = Pod::new();
    let before = pod.state();
    let result = pod.add(json!({"promisc": false, "mtu": 0, "mac": "", "sysctl": {}}));
    assert_eq!(result["ips"][0]["address"], "10.22.0.2/16");
    pod.check(json!({}));
    assert_state!(pod.state(), before);
    assert!(!pod.data_dir().exists());
}

#[test]
fn where_no_backup_can_be_written_nothing_is_changed() {
    let pod = Pod::new();
    let before = pod.state();
    let file = pod.scratch.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [
        file.join("below"),
        "/proc/no-such-place".into(),
        "/sys/x/y".into(),
        file,
    ] {
        let keys = json!({"mtu": 1400, "dataDir": dir, "sysctl": {"net.core.somaxconn": "5"}});
        let (code, text) = error(&pod.run("ADD", keys));
        assert_eq!(code, 5, "{text}");
        assert!(text.contains(dir.to_str().unwrap()), "{text}");
        assert_state!(pod.state(), before);
    }
    let long = "x".repeat(300);
    let call = pod.call("ADD").env("CNI_CONTAINERID", &long);
    assert_eq!(
        error(&pod.finish(call, &pod.conf(json!({"mtu": 1400})))).0,
        5
    );
    assert_state!(pod.state(), before);
}

/// A file system of `size` bytes, mounted where this process's mounts are seen by its children;
/// unmounted by Drop.
struct Mount<'a>(&'a str);

impl<'a> Mount<'a> {
    fn new(dir: &'a str, options: &str) -> Mount<'a> {
        fs::create_dir_all(dir).unwrap();
        let line = ["-t", "tmpfs", "-o", options, "tmpfs", dir];
        assert!(Command::new("mount").args(line).status().unwrap().success());
        Mount(dir)
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.0]).status();
    }
}

#[test]
fn on_a_full_or_read_only_disk_nothing_is_changed_and_no_part_of_a_file_is_left() {
    let pod = Pod::new();
    let before = pod.state();
    let dir = pod.data_dir();
    let mount = Mount::new(dir.to_str().unwrap(), "size=16k");
    // Fill it to the last block.
    let _ = fs::write(dir.join("filler"), vec![0; 1 << 20]);
    let (code, text) = error(&pod.run("ADD", json!({"mtu": 1400})));
    assert_eq!(code, 5);
    assert!(text.contains("No space left"), "{text}");
    assert_eq!(pod.files(), ["filler"]);
    assert_state!(pod.state(), before);
    drop(mount);
    let _mount = Mount::new(dir.to_str().unwrap(), "ro");
    let (code, text) = error(&pod.run("ADD", json!({"mtu": 1400})));
    assert_eq!(code, 5);
    assert!(text.contains("Read-only"), "{text}");
    assert_state!(pod.state(), before);
    pod.del(json!({}));
}
