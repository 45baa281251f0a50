//! `logLevel`: how much is told, and what happens when it, or `logFile`, makes no sense.

use serde_json::{Value, json};

use super::{line, lines, values};
use crate::tuning::pod::{Pod, error, succeeds};

fn keys(level: &str) -> Value {
    json!({"mtu": 1400, "cniVersion": "1.1.0", "LogLevel": level})
}

#[test]
fn debug_tells_of_every_request() {
    let pod = Pod::new();
    pod.add(keys("debug"));
    for verb in ["ADD", "CHECK", "STATUS"] {
        let told = line(&pod.run(verb, keys("debug")));
        let expected = ["debug", verb, "unchanged", "-"];
        assert_eq!(
            values(&told, ["level", "verb", "outcome", "changed"]),
            expected
        );
    }
    pod.del(json!({}));
    for verb in ["DEL", "GC"] {
        let told = line(&pod.run(verb, keys("DEBUG")));
        assert_eq!(values(&told, ["level", "verb"]), ["debug", verb]);
    }
}

#[test]
fn each_level_leaves_out_what_is_less_grave() {
    for (level, shown) in [
        ("verbose", "info warning error"),
        ("info", "info warning error"),
        ("", "warning error"),
        ("Warning", "warning error"),
        ("error", "error"),
        ("panic", ""),
    ] {
        let pod = Pod::new();
        let mut stderr = pod.run("ADD", keys(level)).stderr;
        std::fs::write(pod.backup(), "nonsense").unwrap();
        stderr += &pod
            .run("DEL", keys(level))
            .stderr
            .replace("level=info", "level=again");
        let mut impossible = keys(level);
        impossible["mtu"] = json!(1);
        stderr += &pod.run("ADD", impossible).stderr;
        let told = lines(&stderr);
        let told = told.iter().map(|line| line["level"].as_str());
        let told: Vec<&str> = told.filter(|level| *level != "again").collect();
        assert_eq!(told.join(" "), shown, "{level}");
    }
}

#[test]
fn a_success_is_silent_unless_the_level_or_a_file_asks_for_it() {
    let pod = Pod::new();
    let file = pod.scratch.path().join("cni.log");
    let keys = json!({"mtu": 1400, "logFile": file});
    for verb in ["ADD", "DEL"] {
        assert_eq!(pod.run(verb, keys.clone()).stderr, "", "{verb}");
    }
    let filed = lines(&std::fs::read_to_string(file).unwrap());
    let filed: Vec<_> = filed.iter().map(|line| line["level"].as_str()).collect();
    assert_eq!(filed, ["info", "info"]);
    for verb in ["ADD", "DEL"] {
        assert_eq!(pod.run(verb, json!({"mtu": 1400})).stderr, "", "{verb}");
    }
}

#[test]
fn a_line_names_the_pod_of_kubernetes() {
    let pod = Pod::new();
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0 x";
    let call = pod.call("ADD").env("CNI_ARGS", args);
    let told = line(&pod.finish(call, &pod.conf(keys("info"))));
    assert_eq!(told["pod"], "shop/web-0 x");
}

#[test]
fn keys_that_make_no_sense_are_refused_by_name_and_change_nothing() {
    let pod = Pod::new();
    let before = pod.link();
    for (bad, code, key) in [
        (json!({"logLevel": "loud"}), 7, "logLevel"),
        (json!({"loglevel": 5}), 6, "logLevel"),
        (json!({"logFile": "relative.log"}), 7, "logFile"),
        (json!({"logFile": "/var/log/"}), 7, "logFile"),
        (json!({"LOGFILE": {}}), 6, "logFile"),
    ] {
        for verb in ["ADD", "CHECK", "STATUS"] {
            let mut conf = keys("info");
            conf.as_object_mut().unwrap().remove("LogLevel");
            for (key, value) in bad.as_object().unwrap() {
                conf[key] = value.clone();
            }
            let answer = pod.run(verb, conf);
            let (refused, text) = error(&answer);
            assert_eq!(refused, code, "{verb} {bad}: {text}");
            assert!(text.contains(key), "{verb} {bad}: {text}");
            assert_eq!(line(&answer)["outcome"], "refused");
        }
        assert_eq!(pod.link(), before, "{bad}");
        assert!(pod.files().is_empty(), "{bad}");
    }
}

#[test]
fn del_and_gc_do_their_work_whatever_the_keys_say() {
    let pod = Pod::new();
    let before = pod.link();
    for bad in [
        json!({"logLevel": "loud", "logFile": "relative.log"}),
        json!({"logLevel": ["debug"], "logFile": 5}),
        json!({"logLevel": {}, "logFile": "/\u{0}"}),
    ] {
        let mut conf = json!({"cniVersion": "1.1.0"});
        for (key, value) in bad.as_object().unwrap() {
            conf[key] = value.clone();
        }
        pod.add(json!({"mtu": 1400}));
        succeeds(&pod.run("DEL", conf.clone()));
        assert_eq!(pod.link(), before, "{bad}");
        pod.add(json!({"txQLen": 7}));
        succeeds(&pod.run("GC", conf));
        assert!(pod.files().is_empty(), "{bad}");
        pod.ip(["link", "set", "eth0", "txqueuelen", "1000"]);
    }
}

#[test]
fn version_has_no_configuration_and_no_log() {
    let pod = Pod::new();
    assert_eq!(pod.run("VERSION", keys("debug")).stderr, "");
}
