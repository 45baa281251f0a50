//! `CNI_*` variables: missing, empty, superfluous and nonsensical.

use sandbox::plugin::Call;
use sandbox::{Namespace, Topology};
use serde_json::json;

use super::{PLUGINS, error};

fn request(version: &str) -> String {
    let dir = super::DATA_DIR;
    json!({"cniVersion": version, "name": "net1", "type": "x", "dataDir": dir}).to_string()
}

#[test]
fn all_missing_variables_are_named_in_one_error() {
    let net = Topology::new().build().unwrap();
    let all = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"];
    for plugin in PLUGINS {
        for (verb, needed) in [
            ("ADD", &[0usize, 1, 2, 3][..]),
            ("CHECK", &[0, 1, 2, 3]),
            ("DEL", &[0, 2, 3]),
        ] {
            for absent in 0..16u32 {
                let call = Call::new(plugin, verb)
                    .netns(&net.containers[0])
                    .stdin(request("1.0.0"));
                let call = all.iter().enumerate().fold(call, |call, (bit, name)| {
                    match absent >> bit & 1 {
                        0 => call,
                        // Unset and empty are the same.
                        _ if absent % 3 == 0 => call.env(name, ""),
                        _ => call.without(name),
                    }
                });
                let missing: Vec<&str> = needed
                    .iter()
                    .filter(|bit| absent >> **bit & 1 == 1)
                    .map(|bit| all[*bit])
                    .collect();
                if missing.is_empty() {
                    continue;
                }
                let (code, msg) = error(&call.run(&net.host).unwrap());
                let expected = format!("required env variables [{}] missing", missing.join(","));
                assert_eq!((code, msg), (4, expected), "{plugin} {verb}");
            }
        }
    }
}

#[test]
fn the_environment_is_judged_before_stdin_is() {
    let host = Namespace::new().unwrap();
    for plugin in PLUGINS {
        let answer = Call::bare(plugin)
            .env("CNI_COMMAND", "ADD")
            .stdin("{")
            .run(&host)
            .unwrap();
        assert_eq!(error(&answer).0, 4);
    }
}

#[test]
fn status_gc_and_version_take_what_runtimes_send_them() {
    let host = Namespace::new().unwrap();
    let empty = [
        ("CNI_CONTAINERID", ""),
        ("CNI_NETNS", ""),
        ("CNI_IFNAME", ""),
        ("CNI_ARGS", ""),
    ];
    let dummy = [
        ("CNI_CONTAINERID", ""),
        ("CNI_NETNS", "dummy"),
        ("CNI_IFNAME", "dummy"),
        ("CNI_PATH", "dummy"),
    ];
    for plugin in PLUGINS {
        for verb in ["STATUS", "GC", "VERSION"] {
            for variables in [&empty[..], &dummy[..], &[]] {
                let call = Call::bare(plugin)
                    .env("CNI_COMMAND", verb)
                    .stdin(request("1.1.0"));
                let call = variables
                    .iter()
                    .fold(call, |call, (key, value)| call.env(key, value));
                let answer = call.run(&host).unwrap();
                assert_eq!(
                    answer.code,
                    Some(0),
                    "{plugin} {verb} {variables:?} {answer:?}"
                );
            }
        }
    }
}

#[test]
fn version_answers_whatever_stdin_says() {
    let host = Namespace::new().unwrap();
    for plugin in PLUGINS {
        for stdin in [
            "",
            "{",
            "null",
            "{\"cniVersion\": 5}",
            "{\"cniVersion\": \"9.9.9\"}",
        ] {
            let answer = Call::bare(plugin)
                .env("CNI_COMMAND", "VERSION")
                .stdin(stdin)
                .run(&host)
                .unwrap();
            assert_eq!(answer.code, Some(0), "{answer:?}");
            assert!(
                answer.stdout.starts_with("{\"cniVersion\":\"1.1.0\","),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn verbs_that_a_version_does_not_have_are_refused() {
    let net = Topology::new().build().unwrap();
    for plugin in PLUGINS {
        for (verb, version) in [
            ("CHECK", "0.1.0"),
            ("CHECK", "0.3.1"),
            ("GC", "1.0.0"),
            ("GC", "0.4.0"),
            ("STATUS", "1.0.0"),
        ] {
            let call = Call::new(plugin, verb)
                .netns(&net.containers[0])
                .stdin(request(version));
            let (code, msg) = error(&call.run(&net.host).unwrap());
            assert_eq!(
                (code, msg),
                (1, format!("config version does not allow {verb}")),
                "{plugin}"
            );
        }
        for verb in ["add", "ADD ", "UPDATE", "ADDX"] {
            let call = Call::new(plugin, verb)
                .netns(&net.containers[0])
                .stdin(request("1.0.0"));
            let (code, msg) = error(&call.run(&net.host).unwrap());
            assert_eq!(
                (code, msg),
                (4, format!("unknown CNI_COMMAND: {verb}")),
                "{plugin}"
            );
        }
    }
}
