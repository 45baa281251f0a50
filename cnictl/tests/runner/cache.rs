//! The cache of results: libcni's format, and what the verbs do with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cnictl::runner::cache::Cache;
use cnictl::runner::{Attachment, Network};
use serde_json::{Value, json};

use crate::recorder::{RESULT, Recorder, answers, chain};

/// What libcni was given when it wrote the file in testdata.
const LIBCNI_LIST: &str = r#"{ "cniVersion": "1.0.0", "name": "demo", "plugins": [
  { "type": "veth", "addresses": [ { "address": "10.9.0.2/24", "gateway": "10.9.0.1" } ], "capabilities":{"mac":true} },
  { "type": "tuning", "mtu": 1400, "dataDir":"/run/cni/tuning" } ] }
"#;

#[test]
fn the_cache_is_libcni_s() {
    let mut recorder = chain("cache", "1.0.0");
    answers(&mut recorder, 0, RESULT, &["one", "two", "three"]);
    let add = [
        "add",
        "net",
        "/run/netns/x",
        "--container-id",
        "c",
        "--ifname",
        "net1",
        "--arg",
        "A=1",
        "--arg",
        "B=2",
    ];
    recorder
        .run(&[add.as_slice(), &["--mac", "02:00:00:00:00:01"]].concat())
        .unwrap();
    let file = recorder.cache_file("net-c-net1");
    let config = fs::read(recorder.dir.join("conf/net.conflist")).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap(),
        json!({
            "kind": "cniCacheV1", "containerId": "c", "ifName": "net1", "networkName": "net", "netns": "/run/netns/x",
            "config": common::base64::encode(&config), "cniArgs": [["A", "1"], ["B", "2"]],
            "capabilityArgs": {"mac": "02:00:00:00:00:01"},
            "result": {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/24"}]},
        })
    );
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(file.as_path()), mode(file.parent().unwrap())),
        (0o600, 0o700)
    );
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn check_and_del_remember_what_add_was_given() {
    let mut recorder = chain("recall", "1.0.0");
    answers(&mut recorder, 0, RESULT, &["one", "two", "three"]);
    answers(
        &mut recorder,
        0,
        "",
        &["one", "two", "three", "three", "two", "one"],
    );
    recorder
        .run(&[
            "add",
            "net",
            "/run/netns/x",
            "--arg",
            "A=1",
            "--mac",
            "02:00:00:00:00:01",
        ])
        .unwrap();
    recorder.run(&["check", "net", "/run/netns/x"]).unwrap();
    recorder
        .run(&["del", "net", "/run/netns/x", "--arg", "A=2"])
        .unwrap();
    for (n, call) in recorder.calls().iter().enumerate() {
        let args = if n < 6 {
            "CNI_ARGS=A=1"
        } else {
            "CNI_ARGS=A=2"
        };
        assert!(call.env.contains(&args.to_owned()), "call {n}");
        let mac = call.config().get("runtimeConfig").cloned();
        assert_eq!(
            mac,
            (call.plugin == "two").then(|| json!({"mac": "02:00:00:00:00:01"})),
            "call {n}"
        );
    }
}

#[test]
fn a_cached_result_is_converted_when_the_configuration_has_changed_its_version() {
    let mut recorder = chain("changed-version", "1.0.0");
    answers(&mut recorder, 0, RESULT, &["one", "two", "three"]);
    answers(
        &mut recorder,
        0,
        "",
        &["one", "two", "three", "three", "two", "one"],
    );
    recorder.run(&["add", "net", "/run/netns/x"]).unwrap();
    let list = fs::read_to_string(recorder.dir.join("conf/net.conflist")).unwrap();
    recorder.config("net.conflist", &list.replace("1.0.0", "0.4.0"));
    recorder.run(&["check", "net", "/run/netns/x"]).unwrap();
    recorder.run(&["del", "net", "/run/netns/x"]).unwrap();
    for call in recorder.calls().iter().skip(3) {
        let prev = call.config()["prevResult"].clone();
        assert_eq!(
            (&prev["cniVersion"], &prev["ips"][0]["version"]),
            (&json!("0.4.0"), &json!("4"))
        );
    }
}

#[test]
fn a_result_in_the_form_of_an_earlier_libcni_is_read() {
    let mut recorder = chain("legacy-cache", "1.0.0");
    answers(&mut recorder, 0, "", &["one", "two", "three"]);
    let file = recorder.cache_file("net-c-eth0");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, RESULT).unwrap();
    recorder
        .run(&["check", "net", "/run/netns/x", "--container-id", "c"])
        .unwrap();
    let prev = recorder.calls().first().unwrap().config()["prevResult"].clone();
    assert_eq!(prev, serde_json::from_str::<Value>(RESULT).unwrap());
}

#[test]
fn a_broken_cache_file_fails_check_and_does_not_stop_del() {
    let mut recorder = chain("broken-cache", "1.0.0");
    answers(&mut recorder, 0, "", &["three", "two", "one"]);
    let file = recorder.cache_file("net-c-eth0");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, r#"{"kind":"cniCacheV1","resu"#).unwrap();
    let on = ["net", "/run/netns/x", "--container-id", "c"];
    let error = recorder
        .run(&[["check"].as_slice(), &on].concat())
        .unwrap_err();
    assert!(
        error.contains("net-c-eth0") && error.contains("is not JSON"),
        "{error}"
    );
    recorder.run(&[["del"].as_slice(), &on].concat()).unwrap();
    assert!(!file.exists());
}

/// Written by libcni 1.3.0 for a chain of `veth` and `tuning`.
#[test]
fn a_file_that_libcni_wrote_is_read_and_written_again_as_it_was() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cache/libcni-1.3.0.json");
    let written: Value = serde_json::from_slice(&fs::read(&fixture).unwrap()).unwrap();
    let recorder = Recorder::new("libcni-wrote", &[]);
    let results = recorder.dir.join("cache/results");
    fs::create_dir_all(&results).unwrap();
    fs::copy(&fixture, results.join("demo-c3-eth0")).unwrap();
    let cache = Cache::new(recorder.dir.join("cache"));
    let network = Network {
        name: "demo".into(),
        cni_version: "1.0.0".into(),
        disable_check: false,
        disable_gc: false,
        only_inlined: false,
        plugins: Vec::new(),
        bytes: LIBCNI_LIST.into(),
    };
    let on = Attachment {
        container: "c3".into(),
        ifname: "eth0".into(),
        ..Attachment::default()
    };
    let entry = cache.read(&network, &on).unwrap().unwrap();
    assert_eq!(entry.attachment.cni_args(), "IgnoreUnknown=1;A=1");
    assert_eq!(entry.attachment.netns, "/run/netns/p");
    assert_eq!(
        cache.attachments("demo").unwrap().0,
        std::slice::from_ref(&entry)
    );
    cache
        .write(&network, &entry.attachment, &entry.result.unwrap())
        .unwrap();
    let again: Value =
        serde_json::from_slice(&fs::read(results.join("demo-c3-eth0")).unwrap()).unwrap();
    assert_eq!(again, written);
}
