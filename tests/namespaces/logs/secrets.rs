//! What must not be in a log.

use serde_json::json;

use super::lines;
use crate::tuning::pod::Pod;

#[test]
fn neither_keys_of_the_kernel_nor_arguments_nor_baggage_are_told() {
    let pod = Pod::new();
    let secret = "2001:db8::5ec:4e7";
    let other = "2001:db8::5ec:4e8";
    let name = "net.ipv6.conf.IFNAME.stable_secret";
    let run = |verb: &str, value: &str| {
        let call = pod
            .call(verb)
            .env("CNI_ARGS", "IgnoreUnknown=1;TOKEN=hush-hush")
            .env("TRACESTATE", "vendor=hush-hush")
            .env("BAGGAGE", "user=hush-hush");
        let keys = json!({"logLevel": "debug", "mtu": 1400, "sysctl": {name: value}});
        pod.finish(call, &pod.conf(keys))
    };
    let added = run("ADD", secret);
    assert_eq!(added.code, Some(0), "{added:?}");
    let drifted = run("CHECK", other);
    assert!(drifted.stdout.contains("(secret)"), "{drifted:?}");
    let refused = run("ADD", "5ec-no-address");
    assert!(refused.stdout.contains("(secret)"), "{refused:?}");
    let malformed = pod.call("ADD").env("CNI_ARGS", "TOKEN=hush=hush-hush");
    let malformed = pod.finish(malformed, &pod.conf(json!({})));
    assert_eq!(malformed.code, Some(1), "{malformed:?}");
    let removed = run("DEL", secret);
    for answer in [added, drifted, refused, malformed, removed] {
        assert_eq!(lines(&answer.stderr).len(), 1, "{answer:?}");
        for hidden in ["5ec", "hush", "prevResult"] {
            assert!(!answer.stderr.contains(hidden), "{answer:?}");
        }
    }
}
