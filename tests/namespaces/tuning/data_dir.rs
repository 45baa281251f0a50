//! The directory of backups: where it is, who may read it, and what happens when it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::elsewhere;
use super::pod::{Pod, error};
use super::state::assert_state;

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
}

/// Runs ADD with the directory of backups on a file system of its own, and lists it afterwards.
fn add_on(pod: &Pod, options: &str, before: &str) -> elsewhere::Answer {
    let dir = pod.data_dir();
    fs::create_dir_all(&dir).unwrap();
    let dir = dir.display();
    let before = format!("mount -t tmpfs -o {options} tmpfs {dir} && cd {dir} && {{ {before}; }}");
    let keys = json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "5"}});
    elsewhere::run(pod, "ADD", &before, "ls -A . >&2", keys)
}

#[test]
fn on_a_full_disk_nothing_is_changed_and_no_part_of_a_file_is_left() {
    let pod = Pod::new();
    let before = pod.state();
    // The last block is taken when head fails.
    let answer = add_on(
        &pod,
        "size=16k",
        "head -c 1M /dev/zero > filler 2> /dev/null || true",
    );
    assert_eq!((answer.code, &answer.stdout["code"]), (Some(1), &json!(5)));
    assert!(
        answer.stdout["details"]
            .as_str()
            .unwrap()
            .contains("No space left")
    );
    let said: Vec<&str> = answer.stderr.lines().collect();
    assert!(said[0].contains(" level=error ") && said[0].contains("No space left"));
    assert_eq!(said[1..], ["filler"]);
    assert_state!(pod.state(), before);
}

#[test]
fn on_a_read_only_disk_nothing_is_changed_and_del_of_nothing_succeeds() {
    let pod = Pod::new();
    let before = pod.state();
    let answer = add_on(&pod, "ro", "true");
    assert_eq!((answer.code, &answer.stdout["code"]), (Some(1), &json!(5)));
    assert!(
        answer.stdout["details"]
            .as_str()
            .unwrap()
            .contains("Read-only")
    );
    assert_state!(pod.state(), before);
    let mount = format!("mount -t tmpfs -o ro tmpfs {}", pod.data_dir().display());
    let answer = elsewhere::run(&pod, "DEL", &mount, "true", json!({}));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
}
