//! ADD that fails at any step leaves everything as it was.

use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use sandbox::plugin::Answer;
use sandbox::wait_until;
use serde_json::{Value, json};

use super::pod::{IFB, Pod, both, error};

/// Long enough for anything here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs ADD under strace, which does something to one of the plugin's requests to the kernel.
/// Gives the exit code, none when a signal ended it.
fn add_with(pod: &Pod, fault: &str, keys: Value) -> Option<i32> {
    let plugin = sandbox::plugin::binary("bandwidth");
    let mut command = pod.host().command("strace");
    command
        .args(["-o", "/dev/null", "-e", "trace=sendto", "-e", fault])
        .arg(plugin)
        .envs([
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "cid-0001"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/opt/cni/bin"),
        ])
        .env("CNI_NETNS", pod.container().path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut child = command.spawn().expect("strace: apt-get install strace");
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(pod.conf(keys).to_string().as_bytes())
        .unwrap();
    drop(stdin);
    child.wait().unwrap().code()
}

/// Limits in both directions for which both hooks are needed.
pub fn with_subnets() -> Value {
    let mut keys = both();
    keys["unshapedSubnets"] = json!(["10.0.0.0/8", "fd00::/8"]);
    keys
}

#[test]
fn whichever_request_the_kernel_refuses_everything_is_taken_back() {
    for keys in [both(), with_subnets()] {
        let pod = Pod::new();
        let before = pod.state();
        let mut failed = 0;
        for request in 1..100 {
            let fault = format!("inject=sendto:error=ENOMEM:when={request}");
            match add_with(&pod, &fault, keys.clone()) {
                Some(0) => break,
                code => assert_eq!(code, Some(1), "request {request}"),
            }
            assert_eq!(pod.state(), before, "request {request}");
            failed += 1;
        }
        assert!(failed > 10, "{failed}");
        pod.check(keys);
    }
}

#[test]
fn a_failed_change_leaves_the_older_limit() {
    let pod = Pod::new();
    pod.add(both());
    let before = pod.state();
    let mut failed = 0;
    for request in 1..100 {
        let fault = format!("inject=sendto:error=ENOMEM:when={request}");
        match add_with(&pod, &fault, with_subnets()) {
            Some(0) => break,
            code => assert_eq!(code, Some(1), "request {request}"),
        }
        assert_eq!(pod.state(), before, "request {request}");
        pod.check(both());
        failed += 1;
    }
    assert!(failed > 10, "{failed}");
    pod.check(with_subnets());
}

/// No list has all that a qdisc with classes and filters is, so one of another tool cannot be brought back.
#[test]
fn a_root_qdisc_of_another_tool_that_a_failed_add_replaced_is_named_and_all_else_taken_back() {
    let pod = Pod::new();
    let foreign = "tc qdisc add dev veth0 root handle 7: pfifo";
    pod.sh(foreign);
    let before = pod.state();
    let mut replaced = 0;
    for request in 1..100 {
        let fault = format!("error=ENOMEM:when={request}");
        let answer = pod.finish(
            pod.call("ADD").injected("sendto", &fault),
            &pod.conf(both()),
        );
        if answer.code == Some(0) {
            break;
        }
        if !pod.root("veth0").contains("pfifo 7:") {
            let named = "restore the root qdisc pfifo 7: of veth0, which the limit replaced";
            assert!(answer.stdout.contains(named), "{answer:?}");
            replaced += 1;
            pod.sh(foreign);
        }
        assert_eq!(pod.state(), before, "request {request}");
    }
    assert!(replaced > 1, "{replaced}");
}

/// The number of requests of an ADD with subnets that fails if one of them does.
fn requests() -> usize {
    let failed = |request: &usize| {
        let fault = format!("inject=sendto:error=ENOMEM:when={request}");
        add_with(&Pod::new(), &fault, with_subnets()) != Some(0)
    };
    (1..100).take_while(failed).count()
}

#[test]
fn a_hook_that_somebody_has_come_to_use_stays_when_add_fails() {
    let pod = Pod::new();
    // The last request waits, and fails once somebody has a filter at the hook that ADD made.
    let fault = format!(
        "inject=sendto:error=ENOMEM:delay_enter=3000000:when={}",
        requests()
    );
    thread::scope(|scope| {
        let add = scope.spawn(|| add_with(&pod, &fault, with_subnets()));
        let hook = || pod.sh("tc qdisc show dev veth0").contains("ffff:");
        assert!(wait_until(PATIENCE, hook));
        let filter = "protocol ip pref 9 u32 match u32 0 0 flowid 9:9";
        pod.sh(&format!("tc filter add dev veth0 ingress {filter}"));
        assert_eq!(add.join().unwrap(), Some(1));
    });
    let left = pod.sh("tc filter show dev veth0 ingress");
    assert!(
        left.contains("flowid 9:9") && !left.contains("mirred"),
        "{left}"
    );
}

/// Runs ADD, to whose request for a hook `meanwhile` comes first.
fn add_while(pod: &Pod, keys: &Value, meanwhile: &str) -> Answer {
    let call = |inject: &str| {
        let call = pod.call("ADD").injected("sendto", inject);
        call.stdin(pod.conf(keys.clone()).to_string())
    };
    let request = (1..100).find(|nth| {
        let inject = format!("error=ENOMEM:when={nth}");
        let answer = call(&inject).run(pod.host()).unwrap();
        answer.stdout.contains("add qdisc clsact to veth0")
    });
    let inject = format!("delay_enter=3000000:when={}", request.unwrap());
    let running = call(&inject).spawn(pod.host()).unwrap();
    let is_ifb_up = || pod.sh("ip link show type ifb").contains(",UP");
    assert!(wait_until(PATIENCE, is_ifb_up));
    assert_eq!(pod.sh("tc qdisc show dev veth0 clsact"), "");
    pod.sh(meanwhile);
    running.wait().unwrap()
}

#[test]
fn a_hook_that_somebody_makes_meanwhile_serves_and_stays_with_their_filter() {
    let pod = Pod::new();
    let answer = add_while(&pod, &both(), "tc qdisc add dev veth0 clsact");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    pod.check(both());
    pod.sh("tc filter add dev veth0 egress protocol ip pref 9 u32 match u32 0 0 flowid 9:9");
    pod.add(both());
    pod.del(both());
    let qdiscs = pod.sh("tc qdisc show dev veth0");
    assert!(
        qdiscs.contains("clsact") && !qdiscs.contains("tbf"),
        "{qdiscs}"
    );
    assert_eq!(pod.sh("tc filter show dev veth0 ingress"), "");
    let filters = pod.sh("tc filter show dev veth0 egress");
    assert!(filters.contains("flowid 9:9"), "{filters}");
}

#[test]
fn a_hook_that_somebody_makes_meanwhile_stays_when_add_fails() {
    let mut keys = both();
    keys["filterPriority"] = json!(9);
    let pod = Pod::new();
    // The place of our filter is theirs.
    let theirs = "tc filter add dev veth0 ingress protocol ip pref 9 u32 match u32 0 0 flowid 9:9";
    let meanwhile = format!("tc qdisc add dev veth0 clsact; {theirs}");
    let answer = add_while(&pod, &keys, &meanwhile);
    assert_eq!(error(&answer).0, 100, "{answer:?}");
    assert_eq!(pod.ifbs(), Vec::<String>::new());
    let filters = pod.sh("tc filter show dev veth0 ingress");
    assert!(filters.contains("flowid 9:9"), "{filters}");
    // Also one without filters.
    let pod = Pod::new();
    let root = "tc qdisc add dev veth0 root handle 1: htb";
    let meanwhile = format!("tc qdisc add dev veth0 clsact; {root}");
    let answer = add_while(&pod, &keys, &meanwhile);
    assert_eq!(error(&answer).0, 100, "{answer:?}");
    assert_eq!(pod.ifbs(), Vec::<String>::new());
    let qdiscs = pod.sh("tc qdisc show dev veth0");
    assert!(qdiscs.contains("clsact"), "{qdiscs}");
}

#[test]
fn a_place_among_the_filters_that_is_taken_fails_add_and_leaves_the_filter() {
    let pod = Pod::new();
    pod.sh("tc qdisc add dev veth0 ingress");
    pod.sh("tc filter add dev veth0 parent ffff: protocol ip pref 9 u32 match u32 0 0 flowid 9:9");
    let before = pod.state();
    let mut keys = both();
    keys["filterPriority"] = json!(9);
    let (code, text) = error(&pod.run("ADD", keys));
    assert_eq!(code, 100);
    assert!(
        text.contains("add a filter from veth0 ingress to"),
        "{text}"
    );
    assert_eq!(pod.state(), before);
}

#[test]
fn names_that_are_all_taken_fail_add() {
    let pod = Pod::new();
    pod.sh(&format!("ip link add {IFB} type bridge"));
    let result = pod.add(both());
    let own = result["interfaces"][2]["name"].as_str().unwrap().to_owned();
    pod.del(both());
    pod.sh(&format!("ip link add {own} type bridge"));
    let before = pod.state();
    let (code, text) = error(&pod.run("ADD", both()));
    assert_eq!(code, 100);
    assert!(text.contains(&format!("create {own}")), "{text}");
    assert_eq!(pod.state(), before);
}
