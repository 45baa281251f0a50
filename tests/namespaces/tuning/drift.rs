//! CHECK sees every configured thing that changed behind our back, and nothing else.

use std::process::{Child, Stdio};
use std::time::Duration;

use sandbox::wait_until;
use serde_json::{Value, json};

use super::pod::{Pod, error};

fn everything() -> Value {
    json!({
        "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true, "txQLen": 77,
        "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1", "net.core.somaxconn": "500"},
    })
}

#[test]
fn each_configured_thing_that_changed_is_named_with_what_was_expected_and_what_is() {
    let pod = Pod::new();
    pod.add(everything());
    pod.check(everything());
    let cases: [(&[&str], &[&str], &str); 6] = [
        (
            &["mtu", "1300"],
            &["mtu", "1400"],
            "mtu of eth0: expected 1400, found 1300",
        ),
        (
            &["address", "02:bb:00:00:00:05"],
            &["address", "02:aa:00:00:00:05"],
            "mac of eth0: expected 02:aa:00:00:00:05, found 02:bb:00:00:00:05",
        ),
        (
            &["promisc", "off"],
            &["promisc", "on"],
            "promisc of eth0: expected on, found off",
        ),
        (
            &["allmulticast", "off"],
            &["allmulticast", "on"],
            "allmulti of eth0: expected on, found off",
        ),
        (
            &["txqueuelen", "78"],
            &["txqueuelen", "77"],
            "txqlen of eth0: expected 77, found 78",
        ),
        (&["down"], &["up"], ""),
    ];
    for (drift, repair, told) in cases {
        let set = |what: &[&str]| {
            let line = [&["ip", "link", "set", "eth0"], what].concat();
            pod.container().try_sh(&line).unwrap();
        };
        set(drift);
        let answer = pod.run("CHECK", everything());
        if told.is_empty() {
            assert_eq!(answer.code, Some(0), "not configured, not ours: {answer:?}");
        } else {
            let (code, text) = error(&answer);
            assert_eq!(code, 101);
            assert!(text.ends_with(&format!("since ADD: {told}")), "{text}");
        }
        set(repair);
    }
    pod.check(everything());
}

#[test]
fn several_drifts_are_all_told() {
    let pod = Pod::new();
    pod.add(everything());
    pod.ip(["link", "set", "eth0", "mtu", "1300"]);
    pod.set_sysctl("net/core/somaxconn", "7");
    let (_, text) = error(&pod.run("CHECK", everything()));
    for told in [
        "somaxconn: expected 500, found 7",
        "mtu of eth0: expected 1400, found 1300",
    ] {
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn allmulti_configured_off_is_checked_and_not_configured_is_not() {
    let pod = Pod::new();
    pod.add(json!({"allmulti": false}));
    pod.check(json!({"allmulti": false}));
    pod.ip(["link", "set", "eth0", "allmulticast", "on"]);
    let (code, text) = error(&pod.run("CHECK", json!({"allmulti": false})));
    assert_eq!(code, 101);
    assert!(
        text.contains("allmulti of eth0: expected off, found on"),
        "{text}"
    );
    pod.check(json!({"mtu": 1500}));
}

#[test]
fn an_interface_that_is_gone_is_a_drift() {
    let pod = Pod::new();
    let keys = || json!({"sysctl": {"net.core.somaxconn": "500"}});
    pod.add(keys());
    pod.ip(["link", "del", "eth0"]);
    let (code, text) = error(&pod.run("CHECK", keys()));
    assert_eq!(code, 101);
    assert!(
        text.contains("interface eth0: expected present, found none"),
        "{text}"
    );
}

#[test]
fn equal_values_in_other_spellings_pass() {
    let pod = Pod::new();
    for (key, value) in [
        ("net.ipv4.ip_local_port_range", "1024 65000"),
        ("net.ipv4.ip_local_port_range", "  1024\t\t65000 "),
        ("net.ipv4.conf.IFNAME.arp_filter", "01"),
        ("net.ipv4.conf.IFNAME.arp_filter", "1\n"),
        ("net.core.somaxconn", "0x10"),
        ("net.ipv4.route.flush", "1"),
    ] {
        let keys = || json!({"sysctl": {key: value}});
        pod.add(keys());
        pod.check(keys());
        pod.del(keys());
    }
    for mac in ["02:AA:00:00:00:05", "02-aa-00-00-00-05", "02aa.0000.0005"] {
        pod.add(json!({"mac": mac}));
        pod.check(json!({"mac": mac}));
        pod.del(json!({"mac": mac}));
    }
}

/// Somebody else who wants `eth0` promiscuous, as tcpdump does. Python opens the packet socket and
/// holds it until its stdin ends.
struct Sniffer(Child);

impl Sniffer {
    const SCRIPT: &str = "import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
wish = struct.pack('iHH8s', socket.if_nametoindex('eth0'), PACKET_MR_PROMISC, 0, b'')
s.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, wish)
sys.stdin.read()";

    fn new(pod: &Pod) -> Sniffer {
        let mut python = pod.container().command("python3");
        python.args(["-c", Sniffer::SCRIPT]).stdin(Stdio::piped());
        let sniffer = Sniffer(
            python
                .spawn()
                .expect("python3 is needed: apt-get install python3"),
        );
        let sniffs = || pod.link().unwrap().promiscuity == 1;
        assert!(wait_until(Duration::from_secs(10), sniffs));
        sniffer
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_sniffer_is_neither_blamed_nor_switched_off_nor_hides_a_drift() {
    let pod = Pod::new();
    let sniffer = Sniffer::new(&pod);
    pod.add(json!({"mtu": 1400}));
    pod.check(json!({"mtu": 1400}));
    pod.del(json!({"mtu": 1400}));
    pod.add(json!({"promisc": true}));
    pod.check(json!({"promisc": true}));
    pod.ip(["link", "set", "eth0", "promisc", "off"]);
    let (code, text) = error(&pod.run("CHECK", json!({"promisc": true})));
    assert_eq!(code, 101);
    assert!(
        text.contains("promisc of eth0: expected on, found off"),
        "{text}"
    );
    pod.ip(["link", "set", "eth0", "promisc", "on"]);
    pod.del(json!({"promisc": true}));
    let link = pod.link().unwrap();
    assert_eq!((link.promisc, link.promiscuity), (false, 1));
    drop(sniffer);
    assert_eq!(pod.link().unwrap().promiscuity, 0);
}
