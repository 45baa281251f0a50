//! The container's interface vanishes while ADD is at work.

use sandbox::Namespace;
use sandbox::plugin::{Answer, Call};
use serde_json::{Value, json};

use super::held::held_at;
use crate::{bandwidth, portmap, tuning};

/// Runs ADD and takes `eth0` away before the `nth` request. None when there are fewer.
fn vanishes_at(host: &Namespace, container: &Namespace, add: &Call, nth: usize) -> Option<Answer> {
    held_at(host, add, nth, || {
        container.sh(["ip", "link", "delete", "eth0"]);
    })
}

/// ADD failed and says what it could not find, or it was done before; it never breaks.
fn is_told(answer: &Answer, nth: usize) {
    assert!(matches!(answer.code, Some(0 | 1)), "{nth}: {answer:?}");
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert!(
        answer.code == Some(0) || told["msg"].is_string(),
        "{nth}: {told}"
    );
}

#[test]
fn tuning_fails_and_leaves_no_backup_after_del() {
    for nth in 1..20 {
        let pod = tuning::pod::Pod::new();
        let keys =
            || json!({"mtu": 1400, "promisc": true, "sysctl": {"net.core.somaxconn": "500"}});
        let before = pod.sysctl("net/core/somaxconn");
        let add = pod.call("ADD").stdin(pod.conf(keys()).to_string());
        let Some(answer) = vanishes_at(&pod.net.host, pod.container(), &add, nth) else {
            assert!(nth > 2, "{nth}");
            return;
        };
        is_told(&answer, nth);
        pod.del(keys());
        assert_eq!(pod.sysctl("net/core/somaxconn"), before, "{nth}");
        assert!(pod.files().is_empty(), "{nth}");
    }
    panic!("requests without end");
}

#[test]
fn bandwidth_leaves_no_ifb_after_del() {
    // A request in three: each needs a pod of its own.
    for nth in (1..100).step_by(3) {
        let pod = bandwidth::pod::Pod::new();
        let keys = bandwidth::pod::both;
        let add = pod.call("ADD").stdin(pod.conf(keys()).to_string());
        let Some(answer) = vanishes_at(pod.host(), pod.container(), &add, nth) else {
            assert!(nth > 6, "{nth}");
            return;
        };
        is_told(&answer, nth);
        pod.del(keys());
        assert!(pod.ifbs().is_empty(), "{nth}: {:?}", pod.ifbs());
    }
    panic!("requests without end");
}

#[test]
fn portmap_with_nftables_leaves_no_element_after_del() {
    for nth in (1..100).step_by(2) {
        let net = portmap::nftables::host_with(1);
        let pod = portmap::nftables::Pod::new(&net, 0);
        let add = pod.prepared("ADD", &pod.request());
        let Some(answer) = vanishes_at(&net.host, &net.containers[0], &add, nth) else {
            assert!(nth > 3, "{nth}");
            return;
        };
        is_told(&answer, nth);
        pod.does("DEL", &net.host);
        let left = portmap::nftables::contents(&net.host);
        assert!(
            !left.iter().any(|line| line.contains("pod-0")),
            "{nth}: {left:?}"
        );
    }
    panic!("requests without end");
}
