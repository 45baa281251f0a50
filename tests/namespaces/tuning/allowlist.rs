//! The administrator's list of permitted sysctls.

use serde_json::{Value, json};

use super::elsewhere;
use super::pod::Pod;
use super::state::assert_state;

/// Runs a verb where /etc holds nothing but what `prepare`, a shell script, puts into
/// `/etc/cni/tuning`.
fn run(pod: &Pod, verb: &str, prepare: &str, keys: Value) -> (Option<i32>, Value) {
    let before = format!(
        "mount -t tmpfs tmpfs /etc && mkdir -p /etc/cni/tuning && cd /etc/cni/tuning && {prepare}"
    );
    let answer = elsewhere::run(pod, verb, &before, "true", keys);
    (answer.code, answer.stdout)
}

fn somaxconn() -> Value {
    json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "500"}})
}

#[test]
fn only_sysctls_on_the_list_are_set() {
    let pod = Pod::new();
    let before = pod.state();
    let write = |lines: &str| format!("printf '{lines}' > allowlist.conf");
    for lines in [
        "",
        "\\n\\n",
        "ip_forward\\n",
        "^somaxconn$\\n",
        "# somaxconn\\n",
    ] {
        let (code, answer) = run(&pod, "ADD", &write(lines), somaxconn());
        assert_eq!(
            (code, &answer["code"]),
            (Some(1), &json!(104)),
            "{lines:?} {answer}"
        );
        let msg = answer["msg"].as_str().unwrap();
        assert_eq!(msg, "sysctl net.core.somaxconn is not allowed on this node");
        assert_state!(pod.state(), before);
    }
    for lines in ["somaxconn", "\\nip_forward\\r\\n  ^net.core.[a-z]+$ \\n("] {
        let (code, answer) = run(&pod, "ADD", &write(lines), somaxconn());
        assert_eq!(code, Some(0), "{lines:?} {answer}");
        pod.del(somaxconn());
    }
    let keys = json!({"sysctl": {"net.core.somaxconn": "500"},
                      "args": {"cni": {"sysctl": {"net.ipv4.ip_forward": "1"}}}});
    let (code, answer) = run(&pod, "ADD", &write("somaxconn"), keys);
    assert_eq!(
        (code, &answer["code"]),
        (Some(1), &json!(104)),
        "args are judged too"
    );
    assert_state!(pod.state(), before);
}

#[test]
fn without_a_list_every_sysctl_of_the_network_is_allowed_and_a_list_matters_to_sysctls_only() {
    let pod = Pod::new();
    let (code, answer) = run(&pod, "ADD", "true", somaxconn());
    assert_eq!(code, Some(0), "{answer}");
    pod.del(somaxconn());
    let (code, answer) = run(&pod, "ADD", "mkdir allowlist.conf", json!({"mtu": 1400}));
    assert_eq!(code, Some(0), "{answer}");
}

#[test]
fn a_list_that_cannot_be_read_forbids_and_says_what_to_do() {
    let pod = Pod::new();
    let before = pod.state();
    let (code, answer) = run(&pod, "ADD", "mkdir allowlist.conf", somaxconn());
    assert_eq!((code, &answer["code"]), (Some(1), &json!(5)), "{answer}");
    let details = answer["details"].as_str().unwrap();
    assert!(
        details.contains("make it a readable file or remove it"),
        "{details}"
    );
    let (code, answer) = run(&pod, "ADD", "printf '[' > allowlist.conf", somaxconn());
    assert_eq!((code, &answer["code"]), (Some(1), &json!(7)), "{answer}");
    assert_state!(pod.state(), before);
}

#[test]
fn a_list_that_came_later_keeps_neither_check_nor_del_from_their_work() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(somaxconn());
    for verb in ["CHECK", "DEL"] {
        let (code, answer) = run(&pod, verb, "printf nothing > allowlist.conf", somaxconn());
        assert_eq!(code, Some(0), "{verb} {answer}");
    }
    assert_state!(pod.state(), before);
}

#[test]
fn without_a_list_nothing_is_allowed_where_one_is_required() {
    let pod = Pod::new();
    let before = pod.state();
    let mut keys = somaxconn();
    keys["requireAllowlist"] = json!(true);
    let name = "printf 'name net/core/somaxconn' > allowlist.conf";
    for (prepare, allowed) in [("true", false), ("printf x > other", false), (name, true)] {
        for verb in ["STATUS", "ADD"] {
            let mut keys = keys.clone();
            keys["cniVersion"] = json!("1.1.0");
            let (code, answer) = run(&pod, verb, prepare, keys);
            assert_eq!(code == Some(0), allowed, "{verb} {prepare}: {answer}");
            if !allowed {
                let code = if verb == "ADD" { 104 } else { 50 };
                assert_eq!(answer["code"], json!(code), "{answer}");
                let details = answer["details"].as_str().unwrap();
                assert!(details.contains("does not exist: create it"), "{answer}");
                assert_state!(pod.state(), before);
            }
        }
    }
    pod.del(keys);
    // Nobody needs a list for what is no sysctl.
    let (code, answer) = run(
        &pod,
        "ADD",
        "true",
        json!({"mtu": 1400, "requireAllowlist": true}),
    );
    assert_eq!(code, Some(0), "{answer}");
}

#[test]
fn status_tells_a_list_that_would_fail_every_add() {
    let pod = Pod::new();
    let status = || {
        let mut keys = somaxconn();
        keys["cniVersion"] = json!("1.1.0");
        keys
    };
    for (prepare, told) in [
        ("mkdir allowlist.conf", "it is a directory"),
        ("printf '(' > allowlist.conf", "line 1"),
        ("printf nothing > allowlist.conf", "not allowed"),
    ] {
        let (code, answer) = run(&pod, "STATUS", prepare, status());
        assert_eq!((code, &answer["code"]), (Some(1), &json!(50)), "{answer}");
        assert!(
            answer["details"].as_str().unwrap().contains(told),
            "{answer}"
        );
    }
    let (code, answer) = run(
        &pod,
        "STATUS",
        "printf somaxconn > allowlist.conf",
        status(),
    );
    assert_eq!(code, Some(0), "{answer}");
}

#[test]
fn a_list_behind_a_link_that_leads_nowhere_permits_nothing() {
    let pod = Pod::new();
    let before = pod.state();
    for prepare in [
        "ln -s /nowhere allowlist.conf",
        "rmdir /etc/cni/tuning && ln -s /nowhere /etc/cni/tuning",
    ] {
        for verb in ["ADD", "STATUS"] {
            let keys = json!({"cniVersion": "1.1.0", "sysctl": {"net.core.somaxconn": "500"}});
            let (code, answer) = run(&pod, verb, prepare, keys);
            assert_eq!(code, Some(1), "{prepare} {verb}");
            let text = answer.to_string();
            assert!(text.contains("dangling"), "{verb}: {text}");
            assert_state!(pod.state(), before);
        }
    }
}
