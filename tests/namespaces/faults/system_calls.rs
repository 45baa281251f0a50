//! Every system call of ADD that can fail, failed once.

use serde_json::json;

use super::subjects::{with_bandwidth, with_nftables};
use super::{Attachment, End};
use crate::portmap::node::{Backend, Host, mapping, request};
use crate::tuning;

/// What is made to fail, and how.
const FAULTS: [(&str, &str); 10] = [
    ("socket", "EMFILE"),
    ("bind", "ENOMEM"),
    ("setsockopt", "ENOBUFS"),
    ("sendto", "ENOMEM"),
    ("write", "ENOSPC"),
    ("openat", "EMFILE"),
    ("read", "ENOMEM"),
    ("mkdir", "EROFS"),
    ("rename", "EIO"),
    ("clone3", "EAGAIN"),
];

/// Runs all faults; at least `least` of them must make ADD fail.
#[track_caller]
fn every_fault(attachment: &Attachment<'_>, least: usize) {
    let mut refused = 0;
    // A pipe that cannot be read is no fault that there is, and only portmap has pipes.
    let has_pipes = attachment.each("pipe2", "EMFILE") != [0, 0];
    for (name, errno) in FAULTS {
        if name == "read" && has_pipes {
            continue;
        }
        refused += attachment.each(name, errno)[0];
    }
    assert!(refused >= least, "only {refused} faults were met");
    // Nobody hears the result.
    let clean = (attachment.state)();
    let full = ["sh", "-c", "exec \"$@\" >/dev/full", "sh"];
    let answer = (attachment.call)("ADD").under(&full).run(attachment.host);
    assert_eq!(answer.unwrap().code, Some(1));
    assert_eq!((attachment.state)(), clean);
    // The way in. When there is no way back the plugin ends at once, which is no failure to undo.
    attachment.add_with("setns", "EPERM", 1, &(attachment.state)());
    attachment.succeeds("ADD", "at last");
    attachment.succeeds("CHECK", "at last");
    attachment.succeeds("DEL", "at last");
}

#[test]
fn tuning_sets_everything_or_nothing() {
    let pod = tuning::pod::Pod::new();
    let keys = || {
        json!({
            "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true,
            "txQLen": 77, "sysctl": {
                "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1",
            },
        })
    };
    let attachment = Attachment {
        host: &pod.net.host,
        call: &|verb| pod.call(verb).stdin(pod.conf(keys()).to_string()),
        state: &|| {
            let mut lines = pod.files();
            lines.push(format!("{:?}", pod.link()));
            let keys = ["net/core/somaxconn", "net/ipv4/conf/eth0/arp_filter"];
            lines.extend(keys.map(|key| pod.sysctl(key)));
            lines
        },
    };
    every_fault(&attachment, 20);
}

#[test]
fn bandwidth_limits_both_directions_or_none() {
    with_bandwidth(|attachment| every_fault(attachment, 15));
}

#[test]
fn portmap_with_iptables_nft_maps_all_ports_or_none() {
    iptables(Backend::IptablesNft);
}

#[test]
fn portmap_with_iptables_legacy_maps_all_ports_or_none() {
    iptables(Backend::IptablesLegacy);
}

fn iptables(backend: Backend) {
    let host = Host::usual(backend);
    let ports = [mapping("tcp", 8080, 80), mapping("udp", 8081, 80)].join(",");
    let request = request("", &ports);
    // What all attachments share stays.
    host.run("ADD", &request);
    host.run("DEL", &request);
    let attachment = Attachment {
        host: &host.net.host,
        call: &|verb| host.call(verb, &request),
        state: &|| state(&host),
    };
    every_fault(&attachment, 5);
    // The first is a thread, for the second IP version: without one they take turns.
    let clean = state(&host);
    let end = attachment.add_with("clone3", "EAGAIN", 1, &clean);
    // With nf_tables both go in one batch, and there is none.
    let is_legacy = backend == Backend::IptablesLegacy;
    assert_eq!(end == End::Added, is_legacy, "{end:?}");
    attachment.succeeds("DEL", "without a thread");
}

/// The node's rules, and the switch that opens loopback addresses only once there is a rule.
pub fn state(host: &Host) -> Vec<String> {
    host.state().lines().map(str::to_owned).collect()
}

#[test]
fn portmap_with_nftables_maps_all_ports_or_none() {
    with_nftables(|attachment| every_fault(attachment, 5));
}
