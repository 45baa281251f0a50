//! The reference's recorded answers to requests that say little or nothing of any one plugin.

use std::fs;
use std::path::{Path, PathBuf};

use sandbox::plugin::{Answer, Call};
use sandbox::topology::Net;
use sandbox::{Snapshot, Topology, plugin};
use serde_json::{Value, json};

use super::{PLUGINS, TESTDATA, error};

/// Every recorded request: `<sample>/<VERB>`.
fn requests(plugin: &str) -> Vec<(PathBuf, String)> {
    let mut requests = Vec::new();
    for sample in fs::read_dir(format!("{TESTDATA}/protocol")).unwrap() {
        let sample = sample.unwrap().path();
        let name = sample.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(&format!("-{plugin}")) {
            continue;
        }
        for file in fs::read_dir(&sample).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            requests.extend(
                file.strip_suffix(".rc")
                    .map(|verb| (sample.clone(), verb.to_owned())),
            );
        }
    }
    requests.sort();
    requests
}

fn text(sample: &Path, file: &str) -> String {
    fs::read_to_string(sample.join(file)).unwrap_or_default()
}

/// Sends the request as it was recorded, but for the namespace's path.
fn send(net: &Net, plugin: &str, sample: &Path, verb: &str) -> Answer {
    let mut call = Call::bare(plugin);
    for line in text(sample, &format!("{verb}.env")).lines() {
        let (key, value) = line.split_once('=').unwrap();
        call = match (key, value) {
            ("CNI_NETNS", "/run/netns/cont") => call.netns(&net.containers[0]),
            _ => call.env(key, value),
        };
    }
    let stdin = text(sample, &format!("{verb}.request.json"));
    // What tuning keeps on the machine is none of this test's business.
    let elsewhere = format!("\"dataDir\":\"{}\",\"name\"", super::DATA_DIR);
    call.stdin(stdin.replacen("\"name\"", &elsewhere, 1))
        .run(&net.host)
        .unwrap()
}

/// What ours answers where the reference has no code of its own for the failure.
fn code(recorded: &Value) -> u64 {
    match recorded["code"].as_u64().unwrap() {
        // A missing prevResult is a mistake of the configuration.
        999 => 7,
        code => code,
    }
}

#[test]
fn answers_are_those_recorded() {
    let net = Topology::new().build().unwrap();
    for plugin in PLUGINS {
        let requests = requests(plugin);
        assert!(requests.len() >= 15, "{plugin}: {}", requests.len());
        for (sample, verb) in requests {
            let answer = send(&net, plugin, &sample, &verb);
            let told = format!("{} {verb}: {answer:?}", sample.display());
            let rc: i32 = text(&sample, &format!("{verb}.rc")).trim().parse().unwrap();
            assert_eq!(answer.code, Some(rc), "{told}");
            let recorded = text(&sample, &format!("{verb}.stdout"));
            match verb.as_str() {
                "VERSION" => same_versions(&answer, &recorded, &told),
                "NONE" => same_about(plugin, &answer, &text(&sample, "NONE.stderr"), &told),
                _ if rc == 1 => same_failure(&answer, &recorded, &told),
                _ => assert_eq!(
                    (answer.stdout.as_str(), answer.stderr.as_str()),
                    ("", ""),
                    "{told}"
                ),
            }
        }
    }
}

/// One line. The request's version comes back, as the spec wants it; the reference gives its newest.
fn same_versions(answer: &Answer, recorded: &str, told: &str) {
    let mut expected: Value = serde_json::from_str(recorded).unwrap();
    expected["cniVersion"] = json!("1.0.0");
    let actual: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(actual, expected, "{told}");
    assert_eq!(answer.stdout.lines().count(), 1, "{told}");
    assert!(answer.stdout.ends_with('\n'), "{told}");
}

/// Two lines on stderr, the second word for word. Ours knows its version.
fn same_about(plugin: &str, answer: &Answer, recorded: &str, told: &str) {
    let [about, versions] = [0, 1].map(|line| answer.stderr.lines().nth(line).unwrap_or_default());
    assert!(
        about.starts_with(&format!("CNI {plugin} plugin version ")),
        "{told}"
    );
    assert_eq!(versions, recorded.lines().nth(1).unwrap(), "{told}");
    assert_eq!(answer.stdout, "", "{told}");
}

/// The same code; where the spec or its library fixes the text, the same text.
fn same_failure(answer: &Answer, recorded: &str, told: &str) {
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let (actual, msg) = error(answer);
    assert_eq!(actual, code(&recorded), "{told}");
    if matches!(actual, 1 | 4) {
        assert_eq!(msg, recorded["msg"].as_str().unwrap(), "{told}");
    }
    let answer: Value = serde_json::from_str(&answer.stdout).unwrap();
    if let Some(details) = recorded.get("details") {
        assert_eq!(&answer["details"], details, "{told}");
    }
}

#[test]
fn the_plugin_s_own_namespace_is_refused_before_anything_is_changed() {
    // The reference changes the host first and then answers with a result and an error.
    let net = Topology::new().build().unwrap();
    let sample =
        Path::new(TESTDATA).join("protocol/62-error-netns-is-plugins-own-two-JSON-documents");
    let host = &net.containers[0];
    for plugin in PLUGINS {
        for verb in ["ADD", "DEL"] {
            for path in ["/proc/self/ns/net", "/proc/thread-self/ns/net"] {
                let before = Snapshot::take(host).unwrap();
                let call = Call::new(plugin, verb).env("CNI_NETNS", path);
                let call = call.stdin(text(&sample, "ADD.request.json"));
                let (code, msg) = error(&call.run(host).unwrap());
                assert_eq!(code, 8, "{plugin} {verb}");
                assert_eq!(
                    msg,
                    "plugin's netns and netns from CNI_NETNS should not be the same"
                );
                let after = Snapshot::take(host).unwrap();
                assert_eq!(before.diff(&after), Vec::<String>::new());
            }
        }
    }
}

#[test]
fn the_plugin_s_own_namespace_is_served_when_the_runtime_insists() {
    let net = Topology::new().build().unwrap();
    let host = &net.containers[0];
    for value in ["1", "true", "True"] {
        let request = json!({
            "cniVersion": "1.0.0", "name": "net1", "type": "tuning",
            "prevResult": {"ips": [{"address": "10.22.0.2/16"}]},
        });
        let call = plugin::Call::new("tuning", "ADD")
            .env("CNI_NETNS", "/proc/self/ns/net")
            .env("CNI_NETNS_OVERRIDE", value)
            .stdin(request.to_string());
        let answer = call.run(host).unwrap();
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }
}
