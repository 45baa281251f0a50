//! Backups have owners: `a_b` with `c` and `a` with `b_c` have one name by the reference's rule, and
//! neither touches what is the other's.

use std::fs;
use std::os::unix::fs::symlink;
use std::thread;

use sandbox::plugin::{Answer, Call};
use serde_json::{Value, json};

use super::pod::{Pod, REFERENCE, succeeds};
use super::state::assert_state;

/// Container, interface, and the sysctl that the attachment sets.
type Twin = (&'static str, &'static str, &'static str);

const FIRST: Twin = ("a_b", "c", "net/ipv4/ip_forward");
const SECOND: Twin = ("a", "b_c", "net/ipv4/conf/all/arp_filter");
const NAME: &str = "a_b_c.json";

/// A pod in which both sysctls are 0, whatever the machine has, from which they are inherited.
fn untuned() -> Pod {
    let pod = Pod::new();
    for (_, _, sysctl) in [FIRST, SECOND] {
        pod.set_sysctl(sysctl, "0");
    }
    pod
}

fn call(pod: &Pod, verb: &str, (container, ifname, _): Twin) -> Call {
    let call = pod.call(verb).env("CNI_CONTAINERID", container);
    call.env("CNI_IFNAME", ifname)
}

fn keys((_, _, sysctl): Twin) -> Value {
    json!({"sysctl": {sysctl: "1"}})
}

fn run(pod: &Pod, verb: &str, twin: Twin) -> Answer {
    pod.finish(call(pod, verb, twin), &pod.conf(keys(twin)))
}

#[track_caller]
fn add(pod: &Pod, twin: Twin) {
    let answer = run(pod, "ADD", twin);
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

/// The container and interface that a backup names.
fn owner(pod: &Pod, file: &str) -> [String; 2] {
    let text = fs::read(pod.data_dir().join(file)).unwrap();
    let backup: Value = serde_json::from_slice(&text).unwrap();
    ["container", "ifname"].map(|key| backup[key].as_str().unwrap_or_default().to_owned())
}

#[test]
fn two_attachments_of_one_name_have_a_backup_each_and_del_of_one_leaves_the_other_s() {
    for (first, second) in [(FIRST, SECOND), (SECOND, FIRST)] {
        let pod = untuned();
        let values = || [first, second].map(|(_, _, sysctl)| pod.sysctl(sysctl));
        add(&pod, first);
        add(&pod, second);
        add(&pod, first);
        assert_eq!(owner(&pod, NAME), [first.0, first.1]);
        let files = pod.files();
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(owner(&pod, &files[1]), [second.0, second.1]);
        succeeds(&run(&pod, "DEL", second));
        assert_eq!(values(), ["1", "0"]);
        assert_eq!(pod.files(), [NAME]);
        // A second DEL, as runtimes send it.
        succeeds(&run(&pod, "DEL", second));
        assert_eq!((values(), pod.files().len()), (["1".into(), "0".into()], 1));
        add(&pod, second);
        succeeds(&run(&pod, "DEL", first));
        assert_eq!(values(), ["0", "1"]);
        // The name is free, and the second stays where it is.
        add(&pod, second);
        assert_eq!(pod.files(), [files[1].clone()]);
        succeeds(&run(&pod, "DEL", second));
        assert_eq!((values(), pod.files().len()), (["0".into(), "0".into()], 0));
    }
}

#[test]
fn of_two_that_are_added_at_once_each_has_a_backup() {
    for _ in 0..20 {
        let pod = untuned();
        thread::scope(|scope| {
            for twin in [FIRST, SECOND] {
                let pod = &pod;
                scope.spawn(move || add(pod, twin));
            }
        });
        assert_eq!(pod.files().len(), 2, "{:?}", pod.files());
        for twin in [FIRST, SECOND] {
            succeeds(&run(&pod, "DEL", twin));
            assert_eq!(pod.sysctl(twin.2), "0");
        }
        assert!(pod.files().is_empty());
    }
}

#[test]
fn gc_leaves_the_one_of_two_that_is_alive() {
    for (dead, alive) in [(FIRST, SECOND), (SECOND, FIRST)] {
        let pod = Pod::new();
        add(&pod, FIRST);
        add(&pod, SECOND);
        let valid = json!([{"containerID": alive.0, "ifname": alive.1}]);
        let keys = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": valid});
        succeeds(&pod.run("GC", keys));
        let files = pod.files();
        assert_eq!(files.len(), 1, "{dead:?}");
        assert_eq!(owner(&pod, &files[0]), [alive.0, alive.1]);
    }
}

#[test]
fn one_container_s_interface_on_two_networks_has_a_backup_for_each() {
    let pod = Pod::new();
    let keys = |network: &str, mtu: u32| json!({"name": network, "mtu": mtu});
    pod.add(keys("net1", 1400));
    pod.add(keys("net2", 1300));
    assert_eq!(pod.files().len(), 2);
    pod.del(keys("net2", 1300));
    assert_eq!(pod.link().unwrap().mtu, 1400);
    pod.del(keys("net1", 1400));
    assert_eq!((pod.link().unwrap().mtu, pod.files().len()), (1500, 0));
}

#[test]
fn del_after_its_network_was_renamed_restores_and_leaves_what_another_network_set() {
    let pod = Pod::new();
    let keys = |network: &str, mtu: u32| json!({"name": network, "mtu": mtu});
    pod.add(keys("net1", 1400));
    // Another network, whose values are others: its DEL, for whatever reason, has nothing to do.
    for others in [
        keys("net2", 1300),
        json!({"name": "net2", "mtu": 1400, "promisc": true}),
    ] {
        let answer = pod.run("DEL", others);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let path = pod.backup().display().to_string();
        let warning = format!("backup {path} is of network net1 and stays");
        assert!(answer.stderr.contains(&warning), "{answer:?}");
    }
    assert_eq!((pod.link().unwrap().mtu, pod.files().len()), (1400, 1));
    pod.del(keys("renamed", 1400));
    assert_eq!((pod.link().unwrap().mtu, pod.files().len()), (1500, 0));
}

#[test]
fn del_after_its_network_was_renamed_knows_values_that_the_kernel_shows_in_its_own_words() {
    let pod = Pod::new();
    let before = pod.state();
    let keys = |network: &str| json!({"name": network, "sysctl": {"net.ipv4.ip_local_reserved_ports": "8081,8080"}});
    pod.add(keys("net1"));
    pod.del(keys("renamed"));
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
}

#[test]
fn a_file_that_the_reference_may_have_made_for_another_is_left_to_it() {
    let pod = Pod::new();
    fs::create_dir_all(pod.data_dir()).unwrap();
    let path = pod.data_dir().join(NAME);
    fs::write(&path, "{\"mtu\": 1234}").unwrap();
    add(&pod, SECOND);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"mtu\": 1234}");
    succeeds(&run(&pod, "DEL", SECOND));
    assert_eq!(pod.files(), [NAME]);
    // Who has no other backup is who it is for.
    succeeds(&run(&pod, "DEL", FIRST));
    assert!(pod.files().is_empty());
}

#[test]
fn what_is_no_file_is_neither_opened_nor_followed_nor_removed() {
    let pod = Pod::new();
    let precious = pod.scratch.path().join("precious");
    fs::write(&precious, "{}").unwrap();
    fs::create_dir_all(pod.data_dir()).unwrap();
    let path = pod.backup();
    let fifo = path.display().to_string();
    let make: [&dyn Fn(); 3] = [
        &|| drop(pod.net.host.try_sh(&["mkfifo", &fifo]).unwrap()),
        &|| symlink(&precious, &path).unwrap(),
        &|| fs::create_dir(&path).unwrap(),
    ];
    for make in make {
        make();
        pod.add(json!({"mtu": 1400}));
        pod.check(json!({"mtu": 1400}));
        let gc = pod.run("GC", json!({"cniVersion": "1.1.0", "name": "other"}));
        assert_eq!(gc.code, Some(0), "{gc:?}");
        assert!(gc.stderr.contains("not a backup"), "{gc:?}");
        pod.del(json!({"mtu": 1400}));
        assert_eq!(pod.link().unwrap().mtu, 1500);
        assert_eq!(pod.files(), ["cid-0001_eth0.json"]);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "{}");
}

#[test]
fn a_backup_that_is_nested_deep_is_an_error_and_keeps_gc_and_del_from_nothing() {
    let pod = Pod::new();
    let deep = "{\"a\":".repeat(9_000) + "1" + &"}".repeat(9_000);
    pod.add(json!({"name": "dead", "mtu": 1400}));
    let dead = pod.files();
    let path = pod.data_dir().join("other_eth0.json");
    fs::write(&path, &deep).unwrap();
    let keys = json!({"cniVersion": "1.1.0", "name": "dead", "mtu": 1400});
    succeeds(&pod.run("GC", keys));
    assert_eq!(pod.files(), ["other_eth0.json"], "of {dead:?}");
    fs::rename(&path, pod.backup()).unwrap();
    let answer = pod.run("ADD", json!({"mtu": 1300}));
    assert!(answer.stdout.contains("nested deeper"), "{answer:?}");
    assert_eq!(pod.run("DEL", json!({})).code, Some(0));
    assert!(pod.files().is_empty());
}

#[test]
fn a_container_id_that_is_too_long_for_the_reference_s_name_gets_one_of_ours() {
    for length in [244, 245, 246, 300, 5_000] {
        let pod = Pod::new();
        let container = "c".repeat(length);
        let run = |verb: &str| {
            let call = pod.call(verb).env("CNI_CONTAINERID", &container);
            pod.finish(call, &pod.conf(json!({"mtu": 1400})))
        };
        assert_eq!(run("ADD").code, Some(0), "{length}");
        succeeds(&run("CHECK"));
        let is_ours = pod.files()[0].starts_with("tuning-");
        assert_eq!((pod.files().len(), is_ours), (1, length > 245), "{length}");
        succeeds(&run("DEL"));
        assert_eq!((pod.link().unwrap().mtu, pod.files().len()), (1500, 0));
    }
}

#[test]
fn a_huge_file_is_an_error_and_no_memory() {
    let pod = Pod::new();
    fs::create_dir_all(pod.data_dir()).unwrap();
    let file = fs::File::create(pod.backup()).unwrap();
    file.set_len(1 << 40).unwrap();
    for verb in ["ADD", "DEL"] {
        let answer = pod.run(verb, json!({"mtu": 1400}));
        assert!(answer.stdout.contains("more than"), "{verb} {answer:?}");
    }
    assert_eq!(pod.link().unwrap().mtu, 1500);
}

#[test]
fn a_backup_of_the_reference_is_restored_by_us() {
    let pod = Pod::of(REFERENCE);
    pod.add(json!({"mtu": 1400}));
    let backup: Value = serde_json::from_slice(&fs::read(pod.backup()).unwrap()).unwrap();
    assert!(backup.get("container").is_none());
    let ours = Call::new(super::pod::OURS, "DEL").netns(pod.container());
    succeeds(&pod.finish(ours, &pod.conf(json!({}))));
    assert_eq!((pod.link().unwrap().mtu, pod.files().len()), (1500, 0));
}
