//! DEL ends at the values before the first ADD.

use std::fs;

use serde_json::{Value, json};

use super::pod::{Pod, error};
use super::state::assert_state;

fn tuned(mtu: u32, somaxconn: &str) -> Value {
    json!({
        "mtu": mtu, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true, "txQLen": mtu,
        "sysctl": {"net.core.somaxconn": somaxconn, "net.ipv4.conf.IFNAME.arp_filter": "1"},
    })
}

#[test]
fn after_repeated_adds_del_restores_the_original() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(tuned(1400, "500"));
    pod.add(tuned(1400, "500"));
    pod.add(tuned(1300, "600"));
    pod.check(tuned(1300, "600"));
    pod.del(tuned(1300, "600"));
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
    pod.del(tuned(1300, "600"));
    assert_state!(pod.state(), before);
}

#[test]
fn two_tunings_in_one_chain_restore_everything_in_reverse() {
    let pod = Pod::new();
    let before = pod.state();
    let first = || json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "500"}});
    let second = || json!({"txQLen": 77, "mtu": 1300, "sysctl": {"net.core.somaxconn": "600"}});
    pod.add(first());
    pod.add(second());
    let link = pod.link().unwrap();
    assert_eq!((link.mtu, link.txqlen), (1300, 77));
    pod.check(second());
    pod.del(second());
    pod.del(first());
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
}

#[test]
fn two_tunings_with_directories_of_their_own_restore_everything_in_reverse() {
    let pod = Pod::new();
    let before = pod.state();
    let other = pod.scratch.path().join("other");
    let first = || json!({"mtu": 1400});
    let second = || json!({"mtu": 1300, "txQLen": 7, "dataDir": other});
    pod.add(first());
    pod.add(second());
    pod.del(second());
    assert_eq!(pod.link().unwrap().mtu, 1400);
    pod.del(first());
    assert_state!(pod.state(), before);
}

#[test]
fn values_that_were_set_before_add_come_back() {
    let pod = Pod::new();
    pod.ip([
        "link",
        "set",
        "eth0",
        "promisc",
        "on",
        "allmulticast",
        "on",
        "mtu",
        "1450",
    ]);
    pod.set_sysctl("net/ipv4/ip_local_reserved_ports", "8080-8090");
    pod.set_sysctl("net/core/somaxconn", "123");
    let before = pod.state();
    let keys = || {
        json!({
            "promisc": true, "allmulti": false, "mtu": 1400,
            "sysctl": {"net.ipv4.ip_local_reserved_ports": "", "net.core.somaxconn": "9"},
        })
    };
    pod.add(keys());
    assert!(!pod.link().unwrap().allmulti);
    assert_eq!(pod.sysctl("net/ipv4/ip_local_reserved_ports"), "");
    pod.del(keys());
    assert_state!(pod.state(), before);
}

#[test]
fn an_empty_value_comes_back() {
    let pod = Pod::new();
    let before = pod.state();
    let keys = || json!({"sysctl": {"net.ipv4.ip_local_reserved_ports": "8080-8090"}});
    pod.add(keys());
    pod.check(keys());
    pod.del(keys());
    assert_state!(pod.state(), before);
}

#[test]
fn sysctls_that_set_others_are_restored_with_them() {
    let pod = Pod::new();
    for (all, eth0) in [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")] {
        for order in [["all", "eth0"], ["eth0", "all"]] {
            pod.set_sysctl("net/ipv4/conf/all/forwarding", all);
            pod.set_sysctl("net/ipv4/conf/eth0/forwarding", eth0);
            let before = pod.state();
            let [first, second] =
                order.map(|scope| format!("\"net.ipv4.conf.{scope}.forwarding\""));
            let conf = pod.conf(json!({})).to_string();
            let conf = conf.strip_suffix('}').unwrap();
            let conf = format!("{conf},\"sysctl\":{{{first}:\"1\",{second}:\"0\"}}}}");
            for verb in ["ADD", "DEL"] {
                let answer = pod
                    .call(verb)
                    .stdin(conf.clone())
                    .run(&pod.net.host)
                    .unwrap();
                assert_eq!(answer.code, Some(0), "{answer:?}");
            }
            assert_state!(pod.state(), before, "{all} {eth0} {order:?}");
        }
    }
}

#[test]
fn the_rest_is_restored_when_the_interface_is_gone() {
    let pod = Pod::new();
    let somaxconn = pod.sysctl("net/core/somaxconn");
    pod.add(tuned(1400, "500"));
    pod.ip(["link", "del", "eth0"]);
    pod.del(tuned(1400, "500"));
    assert_eq!(pod.sysctl("net/core/somaxconn"), somaxconn);
    assert!(pod.files().is_empty());
}

#[test]
fn a_configuration_that_makes_no_sense_does_not_keep_del_from_restoring() {
    let long = "x".repeat(100_000);
    let faults = [
        json!({"prevResult": {"cniVersion": "1.0.0", "ips": [null], "interfaces": 7}}),
        json!({"prevResult": "garbage"}),
        json!({"prevResult": null}),
        json!({"mac": "not a mac"}),
        json!({"mtu": "1400"}),
        json!({"mtu": -5}),
        json!({"sysctl": {"kernel.hostname": "x"}}),
        json!({"sysctl": ["net.core.somaxconn"]}),
        json!({"args": {"cni": {"sysctl": {"net.core.somaxconn": 5}}}}),
        json!({"args": 5, "runtimeConfig": [], "promisc": "yes"}),
        json!({"unknown": long}),
    ];
    let pod = Pod::new();
    let before = pod.state();
    for fault in faults {
        pod.add(tuned(1400, "500"));
        pod.del(fault.clone());
        assert_state!(pod.state(), before, "{fault}");
        assert!(pod.files().is_empty(), "{fault}");
    }
    pod.add(tuned(1400, "500"));
    let call = pod.call("DEL").env("CNI_ARGS", "no pair;;=");
    assert_eq!(pod.finish(call, &pod.conf(json!({}))).code, Some(0));
    assert_state!(pod.state(), before);
}

#[test]
fn a_value_that_the_kernel_never_takes_is_told_once_and_the_rest_is_restored() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(tuned(1400, "500"));
    let text = fs::read_to_string(pod.backup()).unwrap();
    let mut backup: Value = serde_json::from_str(&text).unwrap();
    backup["mtu"] = json!(4_000_000_000u32);
    fs::write(pod.backup(), backup.to_string()).unwrap();
    let (code, text) = error(&pod.run("DEL", json!({})));
    assert_eq!(code, 100);
    assert!(
        text.contains("restore: set mtu 4000000000 on eth0"),
        "{text}"
    );
    pod.ip(["link", "set", "eth0", "mtu", "1500"]);
    assert_state!(pod.state(), before);
    pod.del(json!({}));
}

#[test]
fn a_backup_of_an_earlier_container_of_the_same_id_is_not_restored() {
    let (old, pod) = (Pod::new(), Pod::new());
    let keys = |dir: &Pod| json!({"mac": "02:aa:00:00:00:05", "dataDir": dir.data_dir()});
    old.ip(["link", "set", "eth0", "address", "02:00:00:00:00:99"]);
    old.add(keys(&pod));
    let before = pod.state();
    pod.add(keys(&pod));
    pod.del(keys(&pod));
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
}

#[test]
fn a_small_mtu_that_takes_ipv6_away_is_restored_with_its_sysctls() {
    let pod = Pod::new();
    let key = "net/ipv6/conf/eth0/accept_ra";
    let before = pod.sysctl(key);
    let keys = || json!({"mtu": 1000, "sysctl": {"net.ipv6.conf.IFNAME.accept_ra": "0"}});
    pod.add(keys());
    assert!(pod.container().sysctl(key).is_err());
    pod.del(keys());
    assert_eq!(pod.sysctl(key), before);
    assert_eq!(pod.link().unwrap().mtu, 1500);
}
