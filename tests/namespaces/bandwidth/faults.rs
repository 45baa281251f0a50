//! Every system call of ADD, CHECK and DEL that can fail, failed once, and failing from then on: exit
//! code 0 means done, and what is unknown is an error.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::plugin::Answer;
use serde_json::{Value, json};

use super::failed_add::with_subnets;
use super::pod::{Pod, both, error, succeeds};

/// What fails, and how. `ENOENT` and `ENODEV` are also what the kernel answers of what is not there.
const FAULTS: [(&str, &str); 9] = [
    ("socket", "EMFILE"),
    ("bind", "ENOMEM"),
    ("openat", "EMFILE"),
    ("fstatfs", "EIO"),
    ("setns", "EPERM"),
    ("sendto", "ENOMEM"),
    ("sendto", "ENODEV"),
    ("recvfrom", "ENOMEM"),
    ("recvfrom", "ENOENT"),
];

/// Runs a verb while the `nth` call fails, and with `on` every later one. `None`: there is no such call.
fn run(
    pod: &Pod,
    verb: &str,
    keys: &Value,
    (name, errno): (&str, &str),
    (nth, on): (usize, &str),
) -> Option<Answer> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let log = std::env::temp_dir().join(format!("bw-faults-{}-{number}", std::process::id()));
    let log_name = log.display().to_string();
    let trace = format!("trace={name}");
    let inject = format!("inject={name}:error={errno}:when={nth}{on}");
    let strace = ["strace", "-f", "-o", &log_name, "-e", &trace, "-e", &inject];
    let answer = pod.finish(pod.call(verb).under(&strace), &pod.conf(keys.clone()));
    let told = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    told.contains("(INJECTED)").then_some(answer)
}

/// Tries a verb with every fault: `prepare` before each, `judge` after each.
fn each(
    pod: &Pod,
    verb: &str,
    keys: &Value,
    prepare: &dyn Fn(),
    judge: &dyn Fn(&Answer, &str),
) -> usize {
    let mut count = 0;
    for fault in FAULTS {
        // Which error it is makes no difference where everything fails.
        let ways: &[&str] = if fault.1 == "ENOMEM" {
            &["", "+"]
        } else {
            &[""]
        };
        for on in ways {
            let mut met = 0;
            for nth in 1..200 {
                prepare();
                let Some(answer) = run(pod, verb, keys, fault, (nth, on)) else {
                    break;
                };
                let when = format!("{verb}: {fault:?} at {nth}{on}: {answer:?}");
                judge(&answer, &when);
                met += 1;
            }
            assert!(met > 0, "{verb}: {fault:?}{on} is never met");
            count += met;
        }
    }
    count
}

/// Qdiscs, filters and ifbs of the host, without what the kernel chooses.
fn state(pod: &Pod) -> String {
    let filters = pod.sh("tc filter show dev veth0 ingress; tc filter show dev veth0 egress");
    let links = pod.sh("ip -o link show type ifb");
    format!("{}{filters}{links}", pod.sh("tc -raw qdisc"))
}

/// A limit for which there is nothing but a root qdisc, and limits for which there is everything.
fn asked_for() -> [Value; 2] {
    let root_alone = json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    [root_alone, with_subnets()]
}

#[test]
fn add_that_fails_leaves_nothing_after_del_and_add_that_succeeds_is_done() {
    for keys in asked_for() {
        let pod = Pod::new();
        let before = state(&pod);
        let judge = |answer: &Answer, when: &str| {
            match answer.code {
                Some(0) => pod.check(keys.clone()),
                _ => drop(error(answer)),
            }
            pod.del(keys.clone());
            assert_eq!(state(&pod), before, "{when}");
        };
        assert!(each(&pod, "ADD", &keys, &|| {}, &judge) > 60);
    }
}

#[test]
fn check_that_cannot_look_names_no_drift_and_never_passes_on_one() {
    let (pod, keys) = (Pod::new(), both());
    pod.add(keys.clone());
    let as_it_is = |answer: &Answer, when: &str| {
        if answer.code != Some(0) {
            assert_ne!(error(answer).0, 101, "{when}");
        }
    };
    assert!(each(&pod, "CHECK", &keys, &|| {}, &as_it_is) > 60);
    pod.sh("tc qdisc del dev veth0 root");
    let drifted = |answer: &Answer, when: &str| assert_eq!(answer.code, Some(1), "{when}");
    assert!(each(&pod, "CHECK", &keys, &|| {}, &drifted) > 60);
}

#[test]
fn del_that_succeeds_has_done_it_and_del_that_fails_can_be_called_again() {
    for keys in asked_for() {
        let pod = Pod::new();
        let before = state(&pod);
        let judge = |answer: &Answer, when: &str| {
            if answer.code != Some(0) {
                error(answer);
                succeeds(&pod.run("DEL", keys.clone()));
            }
            assert_eq!(state(&pod), before, "{when}");
        };
        let add = || drop(pod.add(keys.clone()));
        assert!(each(&pod, "DEL", &keys, &add, &judge) > 60);
    }
}

#[test]
fn del_that_fails_to_delete_one_filter_deletes_the_others() {
    let (pod, keys) = (Pod::new(), with_subnets());
    // With somebody else's filter on it the hook stays, and each filter of ours goes by itself.
    pod.sh("tc qdisc add dev veth0 clsact");
    pod.sh("tc filter add dev veth0 egress protocol ip pref 7 u32 match u32 0 0 flowid 9:9");
    let before = state(&pod);
    let filters = || pod.sh("tc filter show dev veth0 ingress; tc filter show dev veth0 egress");
    let mut places = Vec::new();
    for nth in 1..200 {
        pod.add(keys.clone());
        let fault = ("sendto", "ENOMEM");
        let Some(answer) = run(&pod, "DEL", &keys, fault, (nth, "")) else {
            break;
        };
        if answer.stdout.contains("delete a filter ") {
            error(&answer);
            let left = filters();
            let ours = left.lines().filter(|line| line.contains("key ht"));
            let ours = ours.filter(|line| !line.contains("pref 7 "));
            let mut left: Vec<String> = ours
                .filter_map(|line| Some(line.split("pref ").nth(1)?.split(' ').next()?.to_owned()))
                .collect();
            left.dedup();
            assert_eq!(left.len(), 1, "{answer:?} {}", filters());
            places.extend(left);
        }
        pod.del(keys.clone());
        assert_eq!(state(&pod), before, "{nth}");
    }
    places.sort();
    places.dedup();
    assert!(places.len() > 3, "{places:?}");
}
