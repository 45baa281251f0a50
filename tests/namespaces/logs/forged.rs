//! Values of a request cannot pose as anything else in a log.

use serde_json::json;

use super::{line, values};
use crate::tuning::pod::Pod;

const FORGED: &str =
    "/x\" outcome=changed\nlevel=info plugin=tuning\r\x1b[2J outcome=changed `id` $(id)";

#[test]
fn what_a_runtime_passes_stays_inside_its_value() {
    let pod = Pod::new();
    let call = pod.call("ADD").env("CNI_NETNS", FORGED);
    let told = line(&pod.finish(call, &pod.conf(json!({"mtu": 1400}))));
    assert_eq!(values(&told, ["outcome", "netns"]), ["refused", FORGED]);
    for variable in ["CNI_COMMAND", "CNI_CONTAINERID"] {
        let call = pod.call("ADD").env(variable, FORGED);
        let answer = pod.finish(call, &pod.conf(json!({})));
        let told = line(&answer);
        let key = variable.strip_prefix("CNI_").unwrap().to_lowercase();
        let key = key
            .replace("command", "verb")
            .replace("containerid", "container");
        assert_eq!(values(&told, ["outcome", &key]), ["refused", FORGED]);
        assert!(!answer.stderr.contains(['$', '`', '\x1b']), "{answer:?}");
    }
}

#[test]
fn what_a_configuration_says_stays_inside_its_value() {
    let pod = Pod::new();
    for keys in [
        json!({"mtu": FORGED}),
        json!({"mac": FORGED}),
        json!({"name": FORGED}),
        json!({"cniVersion": FORGED}),
        json!({"logLevel": FORGED}),
        json!({"sysctl": {FORGED: "1"}}),
        json!({"sysctl": {"net.core.somaxconn": FORGED}}),
    ] {
        let answer = pod.run("ADD", keys.clone());
        assert_eq!(line(&answer)["outcome"], "refused", "{keys}");
    }
}

#[test]
fn a_line_is_short_whatever_the_request_is() {
    let pod = Pod::new();
    let long = "x\n".repeat(30_000);
    let mut call = pod
        .call("ADD")
        .env("CNI_NETNS", &long)
        .env("CNI_IFNAME", &long);
    call = call.env("CNI_CONTAINERID", &long);
    let told = line(&pod.finish(call, &pod.conf(json!({"name": "n".repeat(10_000)}))));
    assert!(told["container"].ends_with("..."), "{told:?}");
    let sysctls: serde_json::Map<_, _> = (0..3000)
        .map(|number| (format!("net.ipv4.conf.eth0.x{number}"), json!("1")))
        .collect();
    let told = line(&pod.run("CHECK", json!({"sysctl": sysctls})));
    assert_eq!(values(&told, ["code"]), ["101"]);
    assert!(told["details"].ends_with("..."), "{told:?}");
}
