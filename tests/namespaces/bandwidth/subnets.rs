//! `unshapedSubnets` and `shapedSubnets`: limits for some far ends only.

use std::thread;
use std::time::Duration;

use sandbox::probe::throughput;
use sandbox::{Node, Topology};
use serde_json::{Value, json};

use super::pod::{IFB, OURS, Pod, both, error};

/// A pod that reaches the client in 10.99.0.0/24 and fd99::/64 and the server in 10.98.0.0/24 and
/// fd98::/64 through the host.
fn pod() -> Pod {
    Pod::in_net(OURS, &Topology::new().client().server())
}

fn with(list: &str, subnets: Value) -> Value {
    let mut keys = both();
    keys[list] = subnets;
    keys
}

/// The far end that is limited, and the one that is not, in both directions and families.
///
/// How well limits hold is measured elsewhere; here it is enough to tell which traffic has one.
fn only_is_limited(pod: &Pod, limited: &Node, free: &Node) {
    let container = pod.container();
    let measure = |from: &Node, to: &Node, family: usize, millis| {
        let time = Duration::from_millis(millis);
        throughput::tcp(from, to, to.both(0)[family], time).unwrap()
    };
    for family in 0..2 {
        let (inward, out) = thread::scope(|scope| {
            let inward = scope.spawn(|| measure(limited, container, family, 1500).steady());
            let out = scope.spawn(|| measure(container, limited, family, 1500).steady());
            (inward.join().unwrap(), out.join().unwrap())
        });
        assert!(inward < 16e6, "{family} {inward}");
        assert!(out < 32e6, "{family} {out}");
        for (from, to) in [(free, container), (container, free)] {
            let free = measure(from, to, family, 500).first_second();
            assert!(free > 100e6, "{family} {free}");
        }
    }
}

#[test]
fn unshaped_subnets_run_at_full_speed_and_the_rest_is_limited() {
    let pod = pod();
    let before = pod.state();
    let keys = || with("unshapedSubnets", json!(["10.99.0.0/24", "fd99::/64"]));
    pod.add(keys());
    pod.check(keys());
    only_is_limited(&pod, pod.net.server(), pod.net.client());
    pod.del(keys());
    assert_eq!(pod.state(), before);
}

#[test]
fn shaped_subnets_are_limited_and_the_rest_runs_at_full_speed() {
    let pod = pod();
    let before = pod.state();
    let keys = || with("shapedSubnets", json!(["10.99.0.0/24", "fd99::/64"]));
    pod.add(keys());
    pod.check(keys());
    only_is_limited(&pod, pod.net.client(), pod.net.server());
    pod.del(keys());
    assert_eq!(pod.state(), before);
}

#[test]
fn prefixes_of_every_length_are_checked_as_they_were_set() {
    let pod = pod();
    let before = pod.state();
    for list in ["unshapedSubnets", "shapedSubnets"] {
        for subnets in [
            json!(["0.0.0.0/0"]),
            json!(["::/0"]),
            json!(["10.1.2.3/32", "fd00::1/128", "fd01::/33", "192.168.77.1/9"]),
            json!(
                (0..60)
                    .map(|n| format!("10.{n}.0.0/16"))
                    .collect::<Vec<_>>()
            ),
        ] {
            let keys = || with(list, subnets.clone());
            pod.add(keys());
            let state = pod.state();
            pod.add(keys());
            assert_eq!(pod.state(), state, "{list} {subnets}");
            pod.check(keys());
            pod.del(keys());
            assert_eq!(pod.state(), before, "{list} {subnets}");
        }
    }
}

/// The kernel numbers the filters of one place from 2048 to 4095, then from 1, and lists them in that order.
#[test]
fn as_many_prefixes_as_documented_pass_check_and_stay_when_they_are_added_again() {
    let pod = pod();
    let before = pod.state();
    let prefixes = |family: fn(u32) -> String| -> Vec<String> { (0..4000).map(family).collect() };
    let only_v4 = prefixes(|n| format!("10.{}.{}.0/24", n / 256, n % 256));
    let only_v6 = prefixes(|n| format!("fd00:{n:x}::/32"));
    for (list, subnets) in [("shapedSubnets", only_v4), ("unshapedSubnets", only_v6)] {
        let keys = || with(list, json!(subnets));
        pod.add(keys());
        pod.check(keys());
        let state = pod.state();
        pod.add(keys());
        assert_eq!(pod.state(), state, "{list}");
        pod.del(keys());
        assert_eq!(pod.state(), before, "{list}");
    }
}

#[test]
fn lists_come_and_go_with_add() {
    let pod = pod();
    let before = pod.state();
    let except = || with("unshapedSubnets", json!(["10.99.0.0/24"]));
    let only = || with("shapedSubnets", json!(["fd99::/64"]));
    for keys in [both(), except(), only(), both(), only(), except()] {
        pod.add(keys.clone());
        pod.check(keys);
    }
    pod.del(json!({}));
    assert_eq!(pod.state(), before);
}

#[test]
fn check_sees_a_subnet_that_is_gone_or_changed_in_either_direction() {
    let pod = pod();
    let keys = || with("unshapedSubnets", json!(["10.99.0.0/24", "fd99::/64"]));
    for drift in [
        "tc filter del dev veth0 ingress pref 1",
        "tc filter del dev veth0 ingress pref 2",
        "tc filter del dev veth0 ingress pref 3",
        "tc filter del dev veth0 egress pref 4",
        "tc filter del dev veth0 egress pref 5",
        "tc filter del dev veth0 egress pref 6",
        "tc filter add dev veth0 egress pref 4 protocol ip u32 match ip src 10.9.9.9/32 flowid ba55:2",
        "tc qdisc del dev veth0 clsact",
    ] {
        pod.add(keys());
        pod.check(keys());
        pod.sh(drift);
        assert_eq!(error(&pod.run("CHECK", keys())).0, 101, "{drift}");
    }
    pod.add(keys());
    let other = with("unshapedSubnets", json!(["10.99.0.0/25", "fd99::/64"]));
    assert_eq!(error(&pod.run("CHECK", other)).0, 101);
    assert_eq!(pod.ifbs().len(), 2);
    assert!(pod.ifbs().contains(&IFB.to_owned()));
}

#[test]
fn an_ingress_qdisc_of_somebody_else_is_not_replaced() {
    let pod = pod();
    pod.sh("tc qdisc add dev veth0 ingress");
    pod.sh("tc filter add dev veth0 parent ffff: protocol ip pref 9 u32 match u32 0 0 flowid 9:9");
    let before = pod.state();
    let (code, text) = error(&pod.run("ADD", with("shapedSubnets", json!(["10.0.0.0/8"]))));
    assert_eq!(code, 100);
    assert!(text.contains("add qdisc clsact to veth0"), "{text}");
    assert_eq!(pod.state(), before);
}
