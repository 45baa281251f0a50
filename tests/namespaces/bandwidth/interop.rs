//! One plugin's work in the other's hands: ours and Debian's reference 1.1.1.

use serde_json::{Value, json};

use super::pod::{IFB, OURS, Pod, REFERENCE, both, succeeds};

/// Runs a verb of a plugin on a pod.
fn run(plugin: &'static str, pod: &mut Pod, verb: &str, keys: Value) {
    pod.plugin = plugin;
    let answer = pod.run(verb, keys);
    match verb {
        "ADD" => assert_eq!(answer.code, Some(0), "{plugin} {answer:?}"),
        _ => succeeds(&answer),
    }
}

#[test]
fn each_plugin_s_check_passes_on_the_other_s_add() {
    for (first, second) in [(OURS, REFERENCE), (REFERENCE, OURS)] {
        for (rate, burst) in [
            (8_000_000u64, 800_000u64),
            (100_000_000, 1_000_000),
            (999_999_999, 12_345_678),
            (3_333_337, 777_777),
            (40_000_000_000, 400_000_000),
            (400_000_000_000, 4_000_000_000),
        ] {
            let mut pod = Pod::new();
            let keys = || {
                json!({
                    "ingressRate": rate, "ingressBurst": burst,
                    "egressRate": rate, "egressBurst": burst,
                })
            };
            run(first, &mut pod, "ADD", keys());
            run(second, &mut pod, "CHECK", keys());
            run(first, &mut pod, "CHECK", keys());
        }
    }
}

#[test]
fn our_check_passes_on_what_the_reference_made_of_a_runtime_s_burst() {
    for burst in [2_147_483_647u64, 4_294_967_295, 34_359_738_359] {
        let mut pod = Pod::new();
        let keys = || {
            json!({"runtimeConfig": {"bandwidth": {
                "ingressRate": 10_000_000, "ingressBurst": burst,
                "egressRate": 20_000_000, "egressBurst": burst,
            }}})
        };
        run(REFERENCE, &mut pod, "ADD", keys());
        run(OURS, &mut pod, "CHECK", keys());
    }
}

#[test]
fn each_plugin_s_del_removes_the_other_s_ifb() {
    let mut pod = Pod::new();
    let before = pod.state();
    run(REFERENCE, &mut pod, "ADD", both());
    run(OURS, &mut pod, "DEL", both());
    assert_eq!(pod.state(), before, "ours restores the veth too");
    run(OURS, &mut pod, "ADD", both());
    run(REFERENCE, &mut pod, "DEL", both());
    assert_eq!(pod.ifbs(), Vec::<String>::new());
}

#[test]
fn after_the_reference_s_del_our_add_and_our_del_repair_the_veth() {
    let mut pod = Pod::new();
    let before = pod.state();
    run(REFERENCE, &mut pod, "ADD", both());
    run(REFERENCE, &mut pod, "DEL", both());
    assert_ne!(pod.state(), before, "the reference leaves its qdiscs");
    run(OURS, &mut pod, "ADD", both());
    run(OURS, &mut pod, "CHECK", both());
    run(OURS, &mut pod, "DEL", both());
    assert_eq!(pod.state(), before);
    run(REFERENCE, &mut pod, "ADD", both());
    run(REFERENCE, &mut pod, "DEL", both());
    run(OURS, &mut pod, "DEL", both());
    assert_eq!(pod.state(), before);
}

#[test]
fn our_add_takes_over_what_the_reference_made() {
    let mut pod = Pod::new();
    let before = pod.state();
    run(REFERENCE, &mut pod, "ADD", both());
    run(OURS, &mut pod, "ADD", both());
    assert_eq!(pod.ifbs(), [IFB]);
    run(OURS, &mut pod, "CHECK", both());
    run(REFERENCE, &mut pod, "CHECK", both());
    run(OURS, &mut pod, "DEL", both());
    assert_eq!(pod.state(), before);
}
