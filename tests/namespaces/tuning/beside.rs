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

#[test]
fn an_mtu_brings_that_of_ipv6_back() {
    const NAME: &str = "net.ipv6.conf.eth0.mtu";
    for fails in [false, true] {
        let pod = Pod::new();
        pod.set_sysctl(NAME, "1300");
        if fails {
            // TSO cannot be on without checksums, which shows after the MTU is set.
            let offload = json!({"tso": true, "tx-checksum-ip-generic": false});
            error(&pod.run("ADD", json!({"mtu": 1400, "offload": offload})));
        } else {
            let list = json!({"mtu": 1400});
            pod.add(list.clone());
            assert_eq!(pod.sysctl(NAME), "1400");
            pod.add(list.clone());
            pod.check(list.clone());
            pod.del(list);
        }
        assert_eq!(pod.sysctl(NAME), "1300", "{fails}");
        assert!(pod.files().is_empty());
    }
}

#[test]
fn a_sysctl_of_ipv6_that_a_small_mtu_takes_away_is_warned_of_and_no_drift() {
    const NAME: &str = "net.ipv6.conf.eth0.accept_ra";
    let pod = Pod::new();
    let before = pod.sysctl(NAME);
    let list = json!({"mtu": 1000, "sysctl": {"net.ipv6.conf.IFNAME.accept_ra": "0"}});
    let odd = json!({"mtu": 1000, "sysctl": {"net.ipv6.conf.IFNAME.no_such": "0"}});
    assert_eq!(error(&pod.run("ADD", odd)).0, 7);
    let warning = "sysctl net/ipv6/conf/eth0/accept_ra was set and is gone now: the kernel takes IPv6 from an interface whose MTU is below 1280";
    for _ in 0..2 {
        let add = pod.run("ADD", list.clone());
        let is_warned = add.code == Some(0) && add.stderr.contains(warning);
        assert!(is_warned, "{add:?}");
        pod.check(list.clone());
    }
    // Where the MTU is another one, its value counts again.
    pod.ip(["link", "set", "eth0", "mtu", "1500"]);
    let (code, text) = error(&pod.run("CHECK", list.clone()));
    assert!(code == 101 && text.contains("accept_ra"), "{text}");
    pod.del(list);
    assert_eq!(pod.sysctl(NAME), before);
}

#[test]
fn what_an_earlier_add_changed_beside_is_not_taken_for_the_original() {
    let of = |name: &str, value: &str| json!({"sysctl": {name: value}});
    for (first, second, names) in [
        (
            of("net.ipv4.ip_forward", "1"),
            of("net.ipv4.conf.all.forwarding", "1"),
            ["net.ipv4.ip_forward", "net.ipv4.conf.eth0.forwarding"],
        ),
        (
            of("net.ipv4.conf.all.forwarding", "1"),
            of("net.ipv4.ip_forward", "1"),
            ["net.ipv4.ip_forward", "net.ipv4.conf.eth0.forwarding"],
        ),
        (
            of("net.ipv4.neigh.IFNAME.unres_qlen_bytes", "5000"),
            of("net.ipv4.neigh.IFNAME.unres_qlen", "3"),
            ["net.ipv4.neigh.eth0.unres_qlen_bytes"; 2],
        ),
        // An interface without an IPv4 address follows `default`.
        (
            of("net.ipv4.conf.default.arp_filter", "1"),
            of("net.ipv4.conf.other.arp_filter", "1"),
            [
                "net.ipv4.conf.default.arp_filter",
                "net.ipv4.conf.other.arp_filter",
            ],
        ),
        // Its value is more than the link's own MTU.
        (
            json!({"mtu": 9000}),
            of("net.ipv6.conf.IFNAME.mtu", "1400"),
            ["net.ipv6.conf.eth0.mtu"; 2],
        ),
    ] {
        let pod = Pod::new();
        pod.ip([
            "link", "add", "other", "type", "veth", "peer", "name", "another",
        ]);
        let before = names.map(|name| pod.sysctl(name));
        pod.add(first.clone());
        pod.add(second.clone());
        assert_ne!(names.map(|name| pod.sysctl(name)), before, "{first}");
        pod.del(second.clone());
        assert_eq!(names.map(|name| pod.sysctl(name)), before, "{first}");
        assert!(pod.files().is_empty());
    }
}
