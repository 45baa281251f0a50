//! Side by side with Debian's build of the reference (release 1.1.1): same requests, same results,
//! same kernel state, and each restores what the other added.

use sandbox::Snapshot;
use serde_json::{Value, json};

use super::pod::{OURS, Pod, REFERENCE, error};
use super::state::assert_state;

/// Every version that release 1.1.1 supports.
const VERSIONS: [&str; 6] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"];

/// A previous result as a main plugin of that version gives it.
fn prev_result(version: &str) -> Value {
    let interfaces = json!([
        {"name": "veth0", "mac": "02:00:00:00:00:0a"},
        {"name": "eth0", "mac": "02:00:00:00:00:0c", "sandbox": "/run/netns/cont"},
    ]);
    match version {
        "0.1.0" | "0.2.0" => json!({
            "cniVersion": version,
            "ip4": {"ip": "10.22.0.2/16", "gateway": "10.22.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
            "ip6": {"ip": "fd00:22::2/64", "gateway": "fd00:22::1"},
            "dns": {"nameservers": ["10.0.0.53"], "search": ["example"]},
        }),
        "1.0.0" => json!({
            "cniVersion": version, "interfaces": interfaces,
            "ips": [{"interface": 1, "address": "10.22.0.2/16", "gateway": "10.22.0.1"}],
            "routes": [{"dst": "0.0.0.0/0"}], "dns": {"options": ["ndots:2"]},
        }),
        _ => json!({
            "cniVersion": version, "interfaces": interfaces,
            "ips": [
                {"version": "4", "interface": 1, "address": "10.22.0.2/16", "gateway": "10.22.0.1"},
                {"version": "6", "interface": 1, "address": "fd00:22::2/64"},
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd00:22::1"}], "dns": {},
        }),
    }
}

/// Configurations that both understand alike. (`txQLen` is younger than release 1.1.1.)
fn configurations() -> Vec<Value> {
    vec![
        json!({}),
        json!({"mtu": 1400}),
        json!({"mac": "02:aa:00:00:00:05"}),
        json!({"promisc": true}),
        json!({"promisc": false, "mtu": 0, "mac": ""}),
        json!({"allmulti": true}),
        json!({"allmulti": false}),
        json!({"sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"}}),
        json!({"sysctl": {"net/ipv4/conf/IFNAME/arp_filter": "1", "net.ipv4/ip_forward": "1"}}),
        json!({"SYSCTL": {"net.core.somaxconn": "501"}, "MTU": 1401, "AllMulti": true}),
        json!({"mtu": null, "sysctl": null, "mac": null, "allmulti": null}),
        json!({"mtu": 1300, "args": {"cni": {"mtu": 1350, "allmulti": true}}}),
        json!({"promisc": true, "args": {"cni": {"promisc": false, "mac": "02:aa:00:00:00:07"}}}),
        json!({"sysctl": {"net.core.somaxconn": "500"},
               "args": {"cni": {"sysctl": {"net.core.somaxconn": "600", "net.ipv4.ip_forward": "1"}}}}),
        json!({"mac": "02:aa:00:00:00:05", "runtimeConfig": {"mac": "02:aa:00:00:00:06"}}),
        json!({
            "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true,
            "sysctl": {"net.core.somaxconn": "500"},
        }),
    ]
}

fn keys(version: &str, mut keys: Value) -> Value {
    keys["cniVersion"] = json!(version);
    keys["prevResult"] = prev_result(version);
    keys
}

/// Exit code and result of ADD.
fn added(pod: &Pod, keys: Value) -> (Option<i32>, Value) {
    let answer = pod.run("ADD", keys);
    let result = serde_json::from_str(&answer.stdout).unwrap_or(Value::Null);
    (answer.code, result)
}

#[test]
fn results_and_kernel_state_are_those_of_the_reference_in_every_version() {
    let (ours, reference) = (Pod::of(OURS), Pod::of(REFERENCE));
    let before = ours.state();
    assert_state!(reference.state(), before);
    for version in VERSIONS {
        for configuration in configurations() {
            let told = format!("{version} {configuration}");
            let keys = || keys(version, configuration.clone());
            assert_eq!(added(&ours, keys()), added(&reference, keys()), "{told}");
            assert_state!(ours.state(), reference.state(), "{told}");
            if version >= "0.4.0" {
                assert_eq!(ours.run("CHECK", keys()).code, Some(0), "{told}");
            }
            ours.del(keys());
            reference.del(keys());
            assert_state!(ours.state(), before, "{told}");
            // The reference does not restore sysctls.
            assert_eq!(
                reference.link(),
                before.links.get("eth0").cloned(),
                "{told}"
            );
            reset_sysctls(&reference, &before);
        }
    }
}

/// Writes back the sysctls that the reference leaves behind. One may be right only after another.
fn reset_sysctls(pod: &Pod, before: &Snapshot) {
    let now = pod.state().sysctls;
    for (path, value) in before
        .sysctls
        .iter()
        .filter(|(path, value)| now[*path] != **value)
    {
        pod.set_sysctl(path, value);
    }
}

#[test]
fn what_either_added_the_other_restores() {
    let all = || {
        json!({
            "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true,
        })
    };
    for (first, second) in [(OURS, REFERENCE), (REFERENCE, OURS)] {
        let mut pod = Pod::of(first);
        let before = pod.state();
        pod.add(all());
        assert!(!before.diff(&pod.state()).is_empty());
        pod.plugin = second;
        pod.del(all());
        assert_state!(pod.state(), before, "{first} then {second}");
        assert!(pod.files().is_empty());
    }
}

#[test]
fn our_add_after_the_reference_s_keeps_what_the_reference_saved() {
    let mut pod = Pod::of(REFERENCE);
    let before = pod.state();
    pod.add(json!({"mtu": 1400}));
    pod.plugin = OURS;
    pod.add(json!({"mtu": 1300, "allmulti": true}));
    pod.del(json!({"mtu": 1300}));
    assert_state!(pod.state(), before);
}

#[test]
fn both_refuse_the_same_requests() {
    let (ours, reference) = (Pod::of(OURS), Pod::of(REFERENCE));
    let before = ours.state();
    for fault in [
        json!({"mtu": "1400"}),
        json!({"mtu": 14.5}),
        json!({"mtu": 1_000_000}),
        json!({"mac": "nonsense"}),
        json!({"mac": 5}),
        json!({"promisc": "on"}),
        json!({"allmulti": 1}),
        json!({"sysctl": {"kernel.hostname": "x"}}),
        json!({"sysctl": {"net.core.somaxconn": true}}),
        json!({"sysctl": {"net.no.such": "1"}}),
        json!({"sysctl": ["net.core.somaxconn"]}),
        json!({"sysctl": "net.core.somaxconn"}),
        json!({"args": []}),
        json!({"runtimeConfig": {"mac": 7}}),
        json!({"dataDir": 7}),
        json!({"prevResult": null}),
        json!({"cniVersion": "1.0.0", "prevResult": prev_result("0.2.0")}),
        json!({"cniVersion": "9.9.9"}),
        json!({"name": ""}),
        json!({"name": "a b"}),
    ] {
        error(&ours.run("ADD", fault.clone()));
        assert_eq!(reference.run("ADD", fault.clone()).code, Some(1), "{fault}");
        assert_state!(ours.state(), before, "{fault}");
    }
}
