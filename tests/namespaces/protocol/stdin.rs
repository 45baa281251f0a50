//! What nobody should write to a plugin's stdin: one error, in time, and never a panic.

use sandbox::Topology;
use sandbox::plugin::Call;
use sandbox::topology::Net;

use super::{PLUGINS, error};

const VERBS: [&str; 3] = ["ADD", "CHECK", "DEL"];

fn send(net: &Net, plugin: &str, verb: &str, stdin: impl Into<Vec<u8>>) -> (u64, String) {
    let call = Call::new(plugin, verb)
        .netns(&net.containers[0])
        .stdin(stdin);
    error(&call.run(&net.host).unwrap())
}

#[test]
fn what_is_no_json_object_is_refused_with_code_6() {
    let net = Topology::new().build().unwrap();
    let cases: &[&[u8]] = &[
        b"",
        b" ",
        b"{",
        b"}",
        b"null",
        b"[]",
        b"5",
        b"\"text\"",
        b"{\"name\":\"a\"",
        b"{\"name\":\"a\"}x",
        b"{\"name\":\"a\"}{}",
        b"{name:\"a\"}",
        b"{'name':'a'}",
        b"{\"name\":NaN}",
        b"{\"name\":\"a\",}",
        b"{\"name\":5}",
        b"{\"name\":\"a\",\"cniVersion\":1}",
        b"\xef\xbb\xbf{\"name\":\"a\",\"cniVersion\":\"1.0.0\"}",
        b"\xff\xfe{\0}\0",
        b"\0",
        b"{\"name\":\"a\nb\"}",
        b"{\"name\":\"\\ud800",
    ];
    for plugin in PLUGINS {
        for verb in VERBS {
            for stdin in cases {
                let (code, _) = send(&net, plugin, verb, *stdin);
                assert_eq!(
                    code,
                    6,
                    "{plugin} {verb} {:?}",
                    String::from_utf8_lossy(stdin)
                );
            }
        }
    }
}

#[test]
fn a_missing_or_invalid_network_name_is_refused_with_code_7() {
    let net = Topology::new().build().unwrap();
    for plugin in PLUGINS {
        for stdin in [
            r#"{"cniVersion":"1.0.0"}"#,
            r#"{"cniVersion":"1.0.0","name":""}"#,
            r#"{"cniVersion":"1.0.0","name":null}"#,
            r#"{"cniVersion":"1.0.0","name":"a b"}"#,
            r#"{"cniVersion":"1.0.0","name":"../a"}"#,
            r#"{"cniVersion":"1.0.0","name":"a\n"}"#,
            r#"{"cniVersion":"1.0.0","name":"-a"}"#,
        ] {
            assert_eq!(send(&net, plugin, "ADD", stdin).0, 7, "{plugin} {stdin}");
        }
    }
}

#[test]
fn deep_nesting_and_huge_documents_are_answered() {
    let net = Topology::new().build().unwrap();
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"cniVersion":"1.0.0","name":"net1","x":{open}{close}}}"#)
    };
    for plugin in PLUGINS {
        // As deep as Go's decoder goes, and one level more.
        assert_eq!(
            send(&net, plugin, "ADD", nested(9_999)).0,
            7,
            "{plugin}: no prevResult"
        );
        assert_eq!(send(&net, plugin, "ADD", nested(10_000)).0, 6, "{plugin}");
        assert_eq!(
            send(&net, plugin, "ADD", "[".repeat(1 << 20)).0,
            6,
            "{plugin}"
        );
        let objects = "{\"a\":".repeat(1 << 18);
        assert_eq!(send(&net, plugin, "ADD", objects).0, 6, "{plugin}");
        let huge = vec![b' '; (16 << 20) + 1];
        let (code, msg) = send(&net, plugin, "ADD", huge);
        assert_eq!(code, 6, "{plugin}");
        assert!(msg.contains("larger than 16777216 bytes"), "{msg}");
        let mut large = br#"{"cniVersion":"1.0.0","name":"net1"}"#.to_vec();
        large.resize(16 << 20, b' ');
        assert_eq!(
            send(&net, plugin, "ADD", large).0,
            7,
            "{plugin}: no prevResult"
        );
    }
}

#[test]
fn halves_of_surrogate_pairs_and_huge_numbers_are_no_obstacle_where_nobody_asks_for_them() {
    let net = Topology::new().build().unwrap();
    let digits = "7".repeat(1000);
    for plugin in PLUGINS {
        for value in ["\"\\ud800\"", "[\"\\udc00x\"]", "1e999", "-1e999", &digits] {
            let stdin = format!(r#"{{"cniVersion":"1.0.0","name":"net1","x":{value}}}"#);
            let (code, _) = send(&net, plugin, "ADD", stdin);
            assert_eq!(code, 7, "{plugin} {value}: no prevResult");
        }
        let stdin = r#"{"cniVersion":"1.0.0","name":"\ud800"}"#;
        assert_eq!(send(&net, plugin, "ADD", stdin).0, 7, "{plugin}");
    }
}

#[test]
fn invalid_utf_8_inside_strings_is_no_obstacle() {
    let net = Topology::new().build().unwrap();
    for plugin in PLUGINS {
        let stdin = b"{\"cniVersion\":\"1.0.0\",\"name\":\"net1\",\"x\":\"\xff\xfe\"}";
        let call = Call::new(plugin, "DEL")
            .netns(&net.containers[0])
            .stdin(&stdin[..]);
        assert_eq!(call.run(&net.host).unwrap().code, Some(0), "{plugin}");
    }
}

#[test]
fn a_whole_list_is_named_as_such() {
    let net = Topology::new().build().unwrap();
    for plugin in PLUGINS {
        let list = format!(
            r#"{{"cniVersion":"1.1.0","name":"n","plugins":[{{"type":"ptp"}},{{"type":"{plugin}"}}]}}"#
        );
        for verb in ["ADD", "CHECK", "STATUS"] {
            let (code, text) = send(&net, plugin, verb, list.as_str());
            assert_eq!(code, 7, "{plugin} {verb}: {text}");
            assert!(text.contains("stdin holds a configuration list"), "{text}");
        }
    }
}
