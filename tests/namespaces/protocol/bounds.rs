//! What an answer may cost: its length is bounded by what was asked, and stdout holds one document.

use sandbox::Topology;
use sandbox::plugin::Call;
use sandbox::topology::Net;
use serde_json::{Value, json};

use crate::tuning::pod::Pod;

/// Every plugin, with keys of its own that a text is no value for.
const KEYS: [(&str, &[&str]); 3] = [
    (
        "tuning",
        &["mtu", "mac", "promisc", "sysctl", "dataDir", "txQLen"],
    ),
    (
        "portmap",
        &[
            "snat",
            "backend",
            "conditionsV4",
            "markMasqBit",
            "externalSetMarkChain",
        ],
    ),
    (
        "bandwidth",
        &["ingressRate", "egressBurst", "unshapedSubnets"],
    ),
];

/// Keys of every plugin.
const SHARED: [&str; 6] = [
    "name",
    "cniVersion",
    "prevResult",
    "logLevel",
    "logFile",
    "runtimeConfig",
];

/// The longest that an answer to a hostile value may be.
const MOST: usize = 8 << 10;

fn conf() -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "net1", "type": "x",
        "runtimeConfig": {
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
        },
        "prevResult": {
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "veth0"}, {"name": "eth0", "sandbox": "/run/netns/cont"}],
            "ips": [{"interface": 1, "address": "10.22.0.2/16", "gateway": "10.22.0.1"}],
        },
    })
}

/// An answer that must be one JSON document of bounded length.
#[track_caller]
fn is_bounded(net: &Net, call: Call, told: &str) {
    let answer = call.run(&net.host).unwrap();
    assert_eq!(answer.code, Some(1), "{told}");
    let length = answer.stdout.len();
    assert!(
        length < MOST,
        "{told}: {length} bytes: {:.300}",
        answer.stdout
    );
    let error: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert!(error["msg"].is_string(), "{told}: {error}");
}

#[test]
fn an_error_quotes_little_of_what_it_refuses() {
    let net = Topology::new().build().unwrap();
    let long = ["x".repeat(1 << 17), "\u{1}\"".repeat(1 << 16)];
    for (plugin, own) in KEYS {
        for key in own.iter().chain(&SHARED) {
            for text in &long {
                for value in [
                    json!(text),
                    json!([{text: text}]),
                    json!([text]),
                    json!([[text]]),
                ] {
                    let mut conf = conf();
                    conf[*key] = value;
                    // Where the text is a value that can be, the rest is refused.
                    conf["args"] = json!(5);
                    if *key != "prevResult" {
                        conf["prevResult"]["ips"] = json!(5);
                    }
                    let call = Call::new(plugin, "ADD").netns(&net.containers[0]);
                    let stdin = conf.to_string();
                    is_bounded(&net, call.stdin(stdin), &format!("{plugin} {key}"));
                }
            }
        }
    }
}

#[test]
fn a_variable_that_is_too_long_is_not_repeated() {
    let net = Topology::new().build().unwrap();
    let long = "x y".repeat(40_000);
    for (plugin, _) in KEYS {
        for name in ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME"] {
            let call = Call::new(plugin, "ADD").netns(&net.containers[0]);
            let call = call.env(name, &long).stdin(conf().to_string());
            is_bounded(&net, call, &format!("{plugin} {name}"));
        }
    }
}

#[test]
fn a_result_is_not_much_longer_than_the_one_before() {
    let pod = Pod::new();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let many = |count: usize| format!("[{}0]", "0,".repeat(count));
    for unknown in [
        deep(9_000),
        deep(3),
        many(20_000),
        format!("[[{}]]", many(20_000)),
    ] {
        for place in [
            "",
            "\"interfaces\":[{\"name\":\"eth0\",\"x\":",
            "\"dns\":{\"x\":",
        ] {
            let close = match place.chars().nth(1) {
                None => "",
                Some('i') => "}],",
                Some(_) => "},",
            };
            let key = if place.is_empty() { "\"x\":" } else { place };
            let comma = if place.is_empty() { "," } else { "" };
            let result = format!("{{{key}{unknown}{close}{comma}\"cniVersion\":\"1.0.0\"}}");
            let conf = pod.conf(json!({"mtu": 1400, "prevResult": "HERE"}));
            let stdin = conf.to_string().replace("\"HERE\"", &result);
            let answer = pod
                .call("ADD")
                .stdin(stdin.clone())
                .run(pod.host())
                .unwrap();
            assert_eq!(answer.code, Some(0), "{:.300}", answer.stdout);
            let (read, written) = (stdin.len(), answer.stdout.len());
            assert!(written <= read * 16, "{read} bytes became {written}");
        }
    }
    pod.del(json!({}));
}

#[test]
fn without_a_stdout_that_takes_the_result_nothing_stays() {
    let pod = Pod::new();
    for redirection in [">&-", ">/dev/full", "1</dev/null"] {
        let script = format!("exec \"$0\" \"$@\" {redirection}");
        let call = pod.call("ADD").under(&["sh", "-c", &script]);
        let answer = pod.finish(call, &pod.conf(json!({"mtu": 1400})));
        assert_eq!(answer.code, Some(1), "{redirection}: {answer:?}");
        assert!(answer.stderr.contains("write the result"), "{answer:?}");
        assert_eq!(pod.link().unwrap().mtu, 1500, "{redirection}");
        assert!(pod.files().is_empty(), "{redirection}");
    }
    let call = pod
        .call("ADD")
        .under(&["sh", "-c", "exec \"$0\" >/dev/null"]);
    let answer = pod.finish(call, &pod.conf(json!({"mtu": 1400})));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    pod.del(json!({}));
}

#[test]
fn without_a_stdout_that_takes_the_result_an_earlier_add_stays() {
    let pod = Pod::new();
    pod.add(json!({"mtu": 1450}));
    for redirection in [">&-", ">/dev/full"] {
        let script = format!("exec \"$0\" \"$@\" {redirection}");
        let call = pod.call("ADD").under(&["sh", "-c", &script]);
        let answer = pod.finish(call, &pod.conf(json!({"mtu": 1400, "txQLen": 77})));
        assert_eq!(answer.code, Some(1), "{redirection}: {answer:?}");
        let link = pod.link().unwrap();
        assert_eq!((link.mtu, link.txqlen), (1450, 1000), "{redirection}");
        assert_eq!(pod.files().len(), 1, "{redirection}");
    }
    pod.del(json!({}));
    assert_eq!(pod.link().unwrap().mtu, 1500);
}

#[test]
fn a_plugin_that_cannot_go_on_says_so() {
    let pod = Pod::new();
    let mut refusals = 0;
    for nth in 1..20 {
        let inject = format!("error=EIO:when={nth}");
        let conf = pod.conf(json!({"cniVersion": "1.1.0"}));
        pod.add(json!({"mtu": 1400}));
        let answer = pod.finish(pod.call("GC").injected("close", &inject), &conf);
        let told: Option<Value> = serde_json::from_str(&answer.stdout).ok();
        let is_error = told.is_some_and(|json| json["code"].is_number());
        let expected = if is_error { 1 } else { 0 };
        assert_eq!(answer.code, Some(expected), "{nth}: {answer:?}");
        refusals += expected;
        assert_eq!(pod.finish(pod.call("GC"), &conf).code, Some(0));
        assert!(pod.files().is_empty(), "{nth}");
    }
    assert!(refusals > 0, "Rust's library no longer panics over close");
}

#[test]
fn where_no_directory_is_found_the_plugin_answers() {
    let pod = Pod::new();
    for verb in ["ADD", "CHECK", "DEL", "GC"] {
        let call = pod.call(verb).injected("openat", "error=ENOENT:when=1+");
        let answer = pod.finish(call, &pod.conf(json!({"mtu": 1400})));
        assert!(answer.code.is_some(), "{verb}: {answer:?}");
    }
}

#[test]
fn a_success_on_stdout_is_a_success() {
    let pod = Pod::new();
    for (calls, errno) in [
        ("dup,dup2,dup3", "EMFILE"),
        ("fcntl", "EMFILE"),
        ("write", "EIO"),
        ("write", "EINTR"),
    ] {
        for nth in 1..50 {
            let inject = format!("inject={calls}:error={errno}:when={nth}");
            let log = pod.scratch.path().join("strace").display().to_string();
            let trace = format!("trace={calls}");
            let strace = ["strace", "-f", "-o", &log, "-e", &trace, "-e", &inject];
            let call = pod.call("ADD").under(&strace);
            let answer = pod.finish(call, &pod.conf(json!({"mtu": 1400})));
            let is_met = std::fs::read_to_string(&log)
                .unwrap()
                .contains("(INJECTED)");
            let answered: Option<Value> = serde_json::from_str(&answer.stdout).ok();
            let is_result = answered.is_some_and(|json| json.get("code").is_none());
            assert_eq!(
                is_result,
                answer.code == Some(0),
                "{calls} {nth}: {answer:?}"
            );
            let mtu = pod.link().unwrap().mtu;
            assert_eq!(mtu == 1400, is_result, "{calls} {nth}: {answer:?}");
            pod.del(json!({}));
            if !is_met {
                break;
            }
        }
    }
}
