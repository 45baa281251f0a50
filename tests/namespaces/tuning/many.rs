//! As many sysctls as a configuration can hold: no step takes longer than they are many.

use std::fs;

use serde_json::{Map, Value, json};

use super::pod::{Pod, error};

/// More sysctls than any namespace has: each of these interfaces has about a hundred.
const INTERFACES: usize = 150;

/// Every sysctl of the interfaces that can be set to what it is.
fn sysctls(pod: &Pod) -> Map<String, Value> {
    let mut lines = String::new();
    for number in 0..INTERFACES {
        lines += &format!("link add d{number} type veth peer name e{number}\n");
    }
    let batch = pod.scratch.path().join("batch");
    fs::write(&batch, lines).unwrap();
    pod.ip(["-batch", batch.to_str().unwrap()]);
    let state = pod.state();
    let ours = state.sysctls.iter();
    let ours = ours.filter(|(path, value)| {
        let leaf = path.rsplit('/').next().unwrap();
        path.contains("/d") && path.contains("/ipv") && !value.is_empty()
            // Others are set with these, or they are not per namespace.
            && !path.contains("/default/")
            && !["mtu", "stable_secret", "forwarding", "mc_forwarding", "disable_ipv6"].contains(&leaf)
            && !leaf.ends_with("_ms") && !leaf.contains("time")
    });
    ours.map(|(path, value)| (path.clone(), json!(value)))
        .collect()
}

#[test]
fn thousands_of_sysctls_are_set_checked_and_restored_as_one_is() {
    let pod = Pod::new();
    let sysctls = sysctls(&pod);
    assert!(sysctls.len() > 5000, "{}", sysctls.len());
    let conf = json!({"sysctl": sysctls});
    let added = pod.run("ADD", conf.clone());
    assert_eq!(added.code, Some(0), "{}", added.stdout);
    let backup: Value = serde_json::from_slice(&fs::read(pod.backup()).unwrap()).unwrap();
    assert_eq!(backup["sysctl"].as_object().unwrap().len(), sysctls.len());
    pod.check(conf.clone());
    pod.del(conf);
    assert!(pod.files().is_empty());
}

#[test]
fn a_hundred_thousand_sysctls_are_refused_for_the_one_that_is_wrong() {
    let pod = Pod::new();
    let mut many: Map<String, Value> = (0..100_000)
        .map(|number| (format!("net.none.x{number}"), json!("1")))
        .collect();
    let (code, told) = error(&pod.run("ADD", json!({"sysctl": many})));
    assert_eq!(code, 7);
    assert!(told.contains("net.none.x0 does not exist"), "{told}");
    let (code, told) = error(&pod.run("CHECK", json!({"sysctl": many})));
    assert_eq!(code, 101);
    assert!(told.len() < 20_000, "{}", told.len());
    many.insert("net/none/x5".into(), json!("1"));
    let (code, told) = error(&pod.run("ADD", json!({"sysctl": many})));
    assert_eq!(code, 7);
    assert!(told.contains("duplicated sysctl net/none/x5"), "{told}");
}
