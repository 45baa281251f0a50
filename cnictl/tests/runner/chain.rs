//! Order, previous results, and what happens when a plugin fails.

use std::fs;

use serde_json::{Value, json};

use crate::recorder::{BUSY, RESULT, Recorder, answers, chain};

#[test]
fn a_failed_add_is_followed_by_del_of_the_whole_chain_and_nothing_is_remembered() {
    let mut recorder = chain("failed-add", "1.0.0");
    recorder.answer("one", 0, RESULT);
    recorder.answer("two", 1, BUSY);
    answers(&mut recorder, 0, "", &["three", "two", "one"]);
    let error = recorder.run(&["add", "net", "/run/netns/x"]).unwrap_err();
    assert!(
        error.contains("plugin two: ADD failed: not now\n  details: the lock is held\n  code: 11"),
        "{error}"
    );
    assert_eq!(
        recorder.summary(),
        ["ADD one", "ADD two", "DEL three", "DEL two", "DEL one"]
    );
    assert!(
        recorder
            .calls()
            .iter()
            .skip(2)
            .all(|call| call.config().get("prevResult").is_none())
    );
    assert!(!recorder.dir.join("cache").exists());
}

#[test]
fn a_del_that_fails_after_a_failed_add_is_told_too() {
    let mut recorder = chain("failed-add-and-del", "1.0.0");
    recorder.answer("one", 1, "panic: oops");
    recorder.answer("three", 1, BUSY);
    let mut add = recorder.cnictl(&["add", "net", "/run/netns/x", "--json"]);
    let output = add.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let errors = &document["error"]["errors"];
    assert_eq!(
        (&errors[0]["plugin"], &errors[0]["verb"]),
        (&json!("one"), &json!("ADD"))
    );
    assert_eq!(errors[0]["details"], "stdout: panic: oops");
    assert_eq!(
        (&errors[1]["plugin"], &errors[1]["code"]),
        (&json!("three"), &json!(11))
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("\nthe DEL that followed failed too: plugin three: DEL failed"),
        "{text}"
    );
}

#[test]
fn a_failed_add_of_what_is_attached_already_leaves_it() {
    let mut recorder = chain("failed-again", "1.0.0");
    answers(&mut recorder, 0, RESULT, &["one", "two", "three"]);
    recorder.answer("one", 1, BUSY);
    recorder
        .run(&["add", "net", "/run/netns/x", "--container-id", "c"])
        .unwrap();
    let file = recorder.cache_file("net-c-eth0");
    let before = std::fs::read(&file).unwrap();
    let error = recorder
        .run(&["add", "net", "/run/netns/x", "--container-id", "c"])
        .unwrap_err();
    let expected = format!(
        "DEL was not run, as an earlier ADD of it is in {}: cnictl del removes it",
        file.display()
    );
    assert!(error.contains("plugin one: ADD failed: not now"), "{error}");
    assert!(error.contains(&expected), "{error}");
    assert_eq!(
        recorder.summary(),
        ["ADD one", "ADD two", "ADD three", "ADD one"]
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn without_an_add_there_is_nothing_to_check_and_no_plugin_is_run() {
    let recorder = chain("unattached", "1.0.0");
    let check = ["check", "net", "/run/netns/x", "--container-id", "c"];
    let error = recorder.run(&check).unwrap_err();
    let file = recorder.cache_file("net-c-eth0");
    assert!(
        error.contains("has no result of ADD for container c and interface eth0 on network net"),
        "{error}"
    );
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert_eq!(recorder.summary(), Vec::<String>::new());
}

#[test]
fn a_result_that_is_no_json_is_a_failed_add() {
    let mut recorder = chain("nonsense", "1.0.0");
    recorder.answer("one", 0, "hello");
    answers(&mut recorder, 0, "", &["three", "two", "one"]);
    let error = recorder.run(&["add", "net", "/run/netns/x"]).unwrap_err();
    assert!(
        error.contains("plugin one: ADD failed: its result is not JSON"),
        "{error}"
    );
    assert!(error.contains("stdout: hello"), "{error}");
    assert_eq!(
        recorder.summary(),
        ["ADD one", "DEL three", "DEL two", "DEL one"]
    );
}

#[test]
fn del_stops_at_the_first_failure_and_the_result_stays_for_the_next_attempt() {
    let mut recorder = chain("failed-del", "1.0.0");
    answers(&mut recorder, 0, RESULT, &["one", "two", "three"]);
    recorder.answer("three", 0, "");
    recorder.answer("two", 1, BUSY);
    answers(&mut recorder, 0, "", &["three", "two", "one"]);
    let on = ["/run/netns/x", "--container-id", "c"];
    recorder
        .run(&[["add", "net"].as_slice(), &on].concat())
        .unwrap();
    recorder
        .run(&[["del", "net"].as_slice(), &on].concat())
        .unwrap_err();
    assert!(recorder.cache_file("net-c-eth0").exists());
    recorder
        .run(&[["del", "net"].as_slice(), &on].concat())
        .unwrap();
    assert!(!recorder.cache_file("net-c-eth0").exists());
    let calls = recorder.calls();
    assert_eq!(
        recorder.summary().get(3..),
        Some(
            ["DEL three", "DEL two", "DEL three", "DEL two", "DEL one"]
                .map(String::from)
                .as_slice()
        )
    );
    assert!(
        calls
            .iter()
            .skip(3)
            .all(|call| call.config().get("prevResult").is_some())
    );
}

#[test]
fn before_0_4_0_there_is_no_check_and_del_gets_no_result() {
    let mut recorder = chain("old-version", "0.3.1");
    let result = r#"{"cniVersion":"0.3.1","ips":[]}"#;
    answers(&mut recorder, 0, result, &["one", "two", "three"]);
    answers(&mut recorder, 0, "", &["three", "two", "one"]);
    recorder.run(&["add", "net", "/run/netns/x"]).unwrap();
    let error = recorder.run(&["check", "net", "/run/netns/x"]).unwrap_err();
    assert!(
        error.contains("CHECK needs cniVersion 0.4.0 or newer"),
        "{error}"
    );
    recorder.run(&["del", "net", "/run/netns/x"]).unwrap();
    let calls = recorder.calls();
    assert_eq!(calls.len(), 6);
    assert!(calls.get(1).unwrap().config().get("prevResult").is_some());
    assert!(
        calls
            .iter()
            .skip(3)
            .all(|call| call.config().get("prevResult").is_none())
    );
}

#[test]
fn gc_deletes_what_is_cached_and_not_valid_before_it_asks_the_plugins() {
    let mut recorder = chain("gc", "1.1.0");
    let result = RESULT.replace("1.0.0", "1.1.0");
    for _ in ["keep", "stale"] {
        answers(&mut recorder, 0, &result, &["one", "two", "three"]);
    }
    // A failure does not keep GC from the rest.
    recorder.answer("three", 1, BUSY);
    recorder.answer("one", 1, BUSY);
    answers(&mut recorder, 0, "", &["two", "three"]);
    recorder
        .run(&["add", "net", "/run/netns/x", "--container-id", "keep"])
        .unwrap();
    recorder
        .run(&["add", "net", "/run/netns/y", "--container-id", "stale"])
        .unwrap();
    let error = recorder
        .run(&["gc", "net", "--valid", "keep/eth0"])
        .unwrap_err();
    assert!(
        error.contains("plugin three: DEL") && error.contains("plugin one: GC"),
        "{error}"
    );
    let calls = recorder.calls();
    assert_eq!(
        recorder.summary().get(6..),
        Some(
            ["DEL three", "GC one", "GC two", "GC three"]
                .map(String::from)
                .as_slice()
        )
    );
    assert!(
        calls
            .get(6)
            .unwrap()
            .env
            .contains(&"CNI_CONTAINERID=stale".to_owned())
    );
    assert!(
        calls
            .get(6)
            .unwrap()
            .env
            .contains(&"CNI_NETNS=/run/netns/y".to_owned())
    );
    assert!(recorder.cache_file("net-keep-eth0").exists());
}

#[test]
fn gc_keeps_what_is_cached_without_a_namespace_where_what_lives_is_valid() {
    let mut recorder = chain("gc-unnamed", "1.1.0");
    let result = RESULT.replace("1.0.0", "1.1.0");
    for container in ["unnamed", "gone"] {
        answers(&mut recorder, 0, &result, &["one", "two", "three"]);
        let line = [
            "add",
            "net",
            "/no/such/namespace",
            "--container-id",
            container,
        ];
        recorder.run(&line).unwrap();
    }
    let file = recorder.cache_file("net-unnamed-eth0");
    let mut entry: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for key in ["netns", "result"] {
        entry.as_object_mut().unwrap().remove(key);
    }
    fs::write(&file, entry.to_string()).unwrap();
    answers(&mut recorder, 0, "", &["three", "two", "one"]);
    answers(&mut recorder, 0, "", &["one", "two", "three"]);
    recorder.run(&["gc", "net", "--valid-cached"]).unwrap();
    assert!(file.exists());
    assert!(!recorder.cache_file("net-gone-eth0").exists());
    let calls = recorder.calls();
    let valid = &calls.last().unwrap().config()["cni.dev/valid-attachments"];
    assert_eq!(
        *valid,
        json!([{"containerID": "unnamed", "ifname": "eth0"}])
    );
}

#[test]
fn the_configuration_can_switch_check_and_gc_off() {
    let recorder = Recorder::new("switched-off", &["one"]);
    recorder.config(
        "net.conflist",
        r#"{"name":"net","cniVersion":"1.1.0","disableCheck":true,"disableGC":true,"plugins":[{"type":"one"}]}"#,
    );
    let check = recorder
        .run(&["check", "net", "/run/netns/x", "--json"])
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&check).unwrap()["skipped"],
        "the configuration has disableCheck"
    );
    recorder.run(&["gc", "net"]).unwrap();
    assert!(recorder.calls().is_empty());
}

#[test]
fn status_stops_at_the_first_plugin_that_is_not_ready() {
    let mut recorder = chain("status", "1.1.0");
    recorder.answer("one", 0, "");
    recorder.answer(
        "two",
        1,
        r#"{"cniVersion":"1.1.0","code":50,"msg":"no kernel"}"#,
    );
    let error = recorder.run(&["status", "net"]).unwrap_err();
    assert!(
        error.contains("plugin two: STATUS failed: no kernel") && error.contains("code: 50"),
        "{error}"
    );
    assert_eq!(recorder.summary(), ["STATUS one", "STATUS two"]);
}

#[test]
fn version_fails_when_a_plugin_does_not_support_the_configuration() {
    let mut recorder = chain("version", "1.1.0");
    answers(
        &mut recorder,
        0,
        r#"{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}"#,
        &["one", "two"],
    );
    recorder.answer(
        "three",
        0,
        r#"{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}"#,
    );
    let output = recorder
        .cnictl(&["version", "net", "--json"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("plugin three does not support cniVersion 1.1.0"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_del_without_a_namespace_has_an_empty_variable_for_it() {
    let mut recorder = chain("no-netns", "1.0.0");
    answers(
        &mut recorder,
        0,
        "",
        &["three", "two", "one", "three", "two", "one"],
    );
    recorder
        .run(&["del", "net", "--container-id", "c"])
        .unwrap();
    recorder
        .run(&["del", "net", "", "--container-id", "c"])
        .unwrap();
    assert!(
        recorder
            .calls()
            .iter()
            .all(|call| call.env.contains(&"CNI_NETNS=".to_owned()))
    );
    assert!(
        recorder
            .run(&["del", "net"])
            .unwrap_err()
            .contains("NETNS is missing")
    );
    assert!(
        recorder
            .run(&["add", "net", "--container-id", "c"])
            .unwrap_err()
            .contains("NETNS is missing")
    );
}

#[test]
fn a_trace_shows_what_was_asked_and_answered() {
    let mut recorder = chain("trace", "1.0.0");
    answers(&mut recorder, 0, RESULT, &["one", "two", "three"]);
    let output = recorder
        .cnictl(&["add", "net", "/run/netns/x", "--trace"])
        .output()
        .unwrap();
    let trace = String::from_utf8(output.stderr).unwrap();
    for text in [
        "-> ADD one (",
        "   CNI_NETNS=/run/netns/x\n",
        "\"prevResult\": {",
        "<- ADD three: exit status: 0, ",
    ] {
        assert!(trace.contains(text), "{text}: {trace}");
    }
    assert_eq!(
        serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        serde_json::from_str::<Value>(RESULT).unwrap()
    );
}

#[test]
fn a_missing_plugin_is_told_with_the_directories_searched_before_anything_is_run() {
    let recorder = Recorder::new("missing-plugin", &["one"]);
    recorder.config(
        "net.conflist",
        r#"{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"one"},{"type":"nowhere"}]}"#,
    );
    let bin = recorder.dir.join("bin").display().to_string();
    let path = format!("{bin}:/no/such");
    let add = ["add", "net", "/run/netns/x", "--path", &path];
    let error = recorder.run(&add).unwrap_err();
    assert_eq!(
        error,
        format!("cnictl: plugin nowhere not found: searched {bin}, /no/such\n")
    );
    assert!(recorder.calls().is_empty());
}
