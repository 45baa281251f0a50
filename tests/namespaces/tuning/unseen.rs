//! What cannot be seen is not absent: each system call of CHECK, DEL and GC fails once.

use std::fs;

use sandbox::plugin::Answer;
use serde_json::{Value, json};

use super::pod::Pod;
use super::state::assert_state;

/// The calls that look at something, or change it.
const FAULTS: [(&str, &str); 14] = [
    ("openat", "EMFILE"),
    ("openat", "EACCES"),
    ("read", "EIO"),
    ("fstat,statx,newfstatat", "ENOMEM"),
    ("fstatfs", "ENOMEM"),
    ("getdents64", "EIO"),
    ("unlink,unlinkat", "EIO"),
    ("setns", "EPERM"),
    ("socket", "ENOBUFS"),
    ("getsockopt", "ENOBUFS"),
    ("connect,bind", "ENOMEM"),
    ("sendto", "ENOBUFS"),
    ("recvfrom", "ENOMEM"),
    ("write", "EIO"),
];

fn keys() -> Value {
    json!({
        "cniVersion": "1.1.0", "mtu": 1400, "promisc": true,
        "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"},
    })
}

/// A verb while the `nth` call of a kind fails, and whether there was such a call.
fn with_fault(pod: &Pod, verb: &str, fault: (&str, &str), nth: usize) -> (Answer, bool) {
    let log = pod.scratch.path().join("strace").display().to_string();
    let (calls, errno) = fault;
    let trace = format!("trace={calls}");
    let inject = format!("inject={calls}:error={errno}:when={nth}");
    let strace = ["strace", "-f", "-o", &log, "-e", &trace, "-e", &inject];
    let call = pod.call(verb).under(&strace);
    let answer = pod.finish(call, &pod.conf(keys()));
    let is_met = fs::read_to_string(&log).unwrap().contains("(INJECTED)");
    (answer, is_met)
}

/// Tries every fault; `judge` sees how each ended. Gives how many there were.
fn every_fault(pod: &Pod, verb: &str, mut judge: impl FnMut(&Answer, &str)) -> usize {
    let mut tried = 0;
    for fault in FAULTS {
        for nth in 1..500 {
            let (answer, is_met) = with_fault(pod, verb, fault, nth);
            let when = format!("{verb} {} {} {nth}: {answer:?}", fault.0, fault.1);
            // The dynamic loader and the runtime fail before the plugin begins.
            if !matches!(answer.code, Some(127 | 134) | None) {
                judge(&answer, &when);
            }
            if !is_met {
                break;
            }
            tried += 1;
        }
    }
    tried
}

#[test]
fn del_succeeds_only_when_everything_is_as_it_was() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(keys());
    let tried = every_fault(&pod, "DEL", |answer, when| {
        if answer.code == Some(0) {
            assert_eq!(pod.link(), before.links.get("eth0").cloned(), "{when}");
            assert!(pod.files().is_empty(), "{when}");
            assert_eq!(pod.sysctl("net/core/somaxconn"), "4096", "{when}");
        } else {
            pod.del(keys());
        }
        assert_eq!(pod.link(), before.links.get("eth0").cloned(), "{when}");
        pod.add(keys());
    });
    assert!(tried > 40, "{tried}");
    pod.del(keys());
    assert_state!(pod.state(), before);
}

#[test]
fn check_names_no_drift_that_there_is_not() {
    let pod = Pod::new();
    pod.add(keys());
    let tried = every_fault(&pod, "CHECK", |answer, when| {
        if answer.code != Some(0) && !answer.stdout.is_empty() {
            let error: Value = serde_json::from_str(&answer.stdout).unwrap();
            assert_ne!(error["code"], json!(101), "{when}");
        }
    });
    assert!(tried > 15, "{tried}");
    pod.ip(["link", "set", "eth0", "mtu", "1300"]);
    every_fault(&pod, "CHECK", |answer, when| {
        assert_ne!(answer.code, Some(0), "{when}");
    });
}

#[test]
fn gc_succeeds_only_when_the_dead_are_gone() {
    let pod = Pod::new();
    pod.add(keys());
    let tried = every_fault(&pod, "GC", |answer, when| {
        assert_eq!(answer.code == Some(0), pod.files().is_empty(), "{when}");
        if pod.files().is_empty() {
            pod.add(keys());
        }
    });
    assert!(tried > 15, "{tried}");
}
