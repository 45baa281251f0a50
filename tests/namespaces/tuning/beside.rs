//! What the kernel changes beside a sysctl that is written comes back with DEL, and where ADD fails.

use serde_json::json;

use super::pod::{Pod, error};

/// A sysctl and a value.
type Set = (&'static str, &'static str);

/// What is written, and others that the kernel changes with it: each with the value that it has before.
const CASES: [(Set, &[Set]); 13] = [
    (
        ("net.ipv4.conf.all.forwarding", "1"),
        &[
            ("net.ipv4.conf.default.forwarding", "1"),
            ("net.ipv4.conf.other.forwarding", "1"),
            ("net.ipv4.conf.eth0.forwarding", "0"),
            ("net.ipv4.conf.all.accept_redirects", "1"),
        ],
    ),
    (
        ("net.ipv4.ip_forward", "1"),
        &[
            ("net.ipv4.conf.other.forwarding", "1"),
            ("net.ipv4.conf.eth0.forwarding", "0"),
            ("net.ipv4.conf.all.accept_redirects", "1"),
        ],
    ),
    (
        ("net.ipv6.conf.all.forwarding", "1"),
        &[
            ("net.ipv6.conf.other.forwarding", "1"),
            ("net.ipv6.conf.eth0.forwarding", "0"),
        ],
    ),
    (
        ("net.ipv6.conf.all.disable_ipv6", "1"),
        &[
            ("net.ipv6.conf.other.disable_ipv6", "1"),
            ("net.ipv6.conf.eth0.disable_ipv6", "0"),
        ],
    ),
    (
        ("net.ipv6.conf.all.ignore_routes_with_linkdown", "1"),
        &[
            ("net.ipv6.conf.other.ignore_routes_with_linkdown", "1"),
            ("net.ipv6.conf.eth0.ignore_routes_with_linkdown", "0"),
        ],
    ),
    (
        ("net.ipv6.conf.all.addr_gen_mode", "1"),
        &[
            ("net.ipv6.conf.other.addr_gen_mode", "1"),
            ("net.ipv6.conf.eth0.addr_gen_mode", "0"),
        ],
    ),
    (
        ("net.ipv6.conf.eth0.stable_secret", "2001:db8::1"),
        &[("net.ipv6.conf.eth0.addr_gen_mode", "1")],
    ),
    (
        ("net.ipv6.conf.default.stable_secret", "2001:db8::1"),
        &[
            ("net.ipv6.conf.eth0.addr_gen_mode", "1"),
            ("net.ipv6.conf.other.addr_gen_mode", "0"),
        ],
    ),
    // In a coarser unit.
    (
        ("net.ipv6.route.gc_min_interval", "3"),
        &[("net.ipv6.route.gc_min_interval_ms", "500")],
    ),
    (
        ("net.ipv4.neigh.eth0.unres_qlen", "3"),
        &[("net.ipv4.neigh.eth0.unres_qlen_bytes", "212992")],
    ),
    (
        ("net.ipv6.neigh.eth0.unres_qlen", "3"),
        &[("net.ipv6.neigh.eth0.unres_qlen_bytes", "212992")],
    ),
    (
        ("net.ipv4.neigh.eth0.base_reachable_time", "60"),
        &[("net.ipv4.neigh.eth0.base_reachable_time_ms", "30500")],
    ),
    (
        ("net.ipv6.neigh.eth0.retrans_time", "50"),
        &[("net.ipv6.neigh.eth0.retrans_time_ms", "1004")],
    ),
];

#[test]
fn what_the_kernel_changes_beside_a_sysctl_comes_back() {
    for ((name, value), beside) in CASES {
        for fails in [false, true] {
            let pod = Pod::new();
            pod.ip([
                "link", "add", "other", "type", "veth", "peer", "name", "another",
            ]);
            // Each may set the one before.
            for (name, value) in beside.iter().rev() {
                pod.set_sysctl(name, value);
            }
            let now = || {
                beside
                    .iter()
                    .map(|(name, _)| pod.sysctl(name))
                    .collect::<Vec<_>>()
            };
            let before = now();
            let sysctl = json!({"sysctl": {name: value}});
            if fails {
                // The last one is refused by the kernel.
                let list = json!({"sysctl": {name: value, "net.core.somaxconn": "x"}});
                error(&pod.run("ADD", list));
            } else {
                pod.add(sysctl.clone());
                assert_ne!(now(), before, "{name}");
                pod.add(sysctl.clone());
                pod.check(sysctl.clone());
            }
            pod.del(sysctl);
            assert_eq!(now(), before, "{name}, {fails}");
            assert!(pod.files().is_empty());
        }
    }
}
