//! Keys that nobody reads, and are close to one.

use serde_json::json;

use super::lines;
use crate::bandwidth;
use crate::tuning::pod::Pod;

#[test]
fn a_misspelt_key_is_told_by_add_and_remarks_are_not() {
    let pod = Pod::new();
    let keys = json!({"mtuu": 1400, "sysctls": {}, "_sysctl": {}, "comment": "x", "ipam": {}});
    let told = lines(&pod.run("ADD", keys.clone()).stderr);
    let told: Vec<_> = told
        .iter()
        .map(|line| (line["level"].as_str(), line["msg"].as_str()))
        .collect();
    let expected = [
        (
            "warning",
            r#""mtuu" is not a key of tuning and is ignored; write "mtu""#,
        ),
        (
            "warning",
            r#""sysctls" is not a key of tuning and is ignored; write "sysctl""#,
        ),
    ];
    assert_eq!(told, expected);
    for verb in ["CHECK", "DEL"] {
        assert_eq!(pod.run(verb, keys.clone()).stderr, "", "{verb}");
    }
    let pod = bandwidth::pod::Pod::new();
    let told = lines(&pod.run("ADD", json!({"ingresRate": 8_000_000})).stderr);
    assert!(told[0]["msg"].contains("write \"ingressRate\""), "{told:?}");
}

#[test]
fn however_many_there_are_few_are_told_and_none_forges_a_line() {
    let pod = Pod::new();
    let many: Vec<String> = (0..1000)
        .map(|n| format!("mt{}", char::from_u32(0x4e00 + n).unwrap()))
        .collect();
    let mut keys = json!({"mtu\n": 1, "mt\u{1b}": 2});
    for key in many {
        keys[key] = json!(1);
    }
    let told = lines(&pod.run("ADD", keys).stderr);
    assert!((1..=5).contains(&told.len()), "{}", told.len());
}
