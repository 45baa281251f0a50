//! A netlink socket that ran over: the kernel has done what it was asked, and the answer is lost.

use serde_json::json;

use super::Attachment;
use super::subjects::{with_bandwidth, with_nftables};
use crate::tuning;

#[test]
fn a_lost_answer_to_tuning_leaves_nothing_half_done() {
    let pod = tuning::pod::Pod::new();
    let keys = || json!({"mtu": 1400, "promisc": true, "txQLen": 77});
    let attachment = Attachment {
        host: &pod.net.host,
        call: &|verb| pod.call(verb).stdin(pod.conf(keys()).to_string()),
        state: &|| {
            let mut lines = pod.files();
            lines.push(format!("{:?}", pod.link()));
            lines
        },
    };
    is_got_over(attachment.each("recvfrom", "ENOBUFS"), 4);
}

/// The rest of the answer is still there: no ADD fails for it.
#[track_caller]
fn is_got_over([refused, added]: [usize; 2], least: usize) {
    assert_eq!(refused, 0);
    assert!(added >= least, "{added}");
}

#[test]
fn a_lost_answer_to_bandwidth_leaves_nothing_half_done() {
    with_bandwidth(|attachment| is_got_over(attachment.each("recvfrom", "ENOBUFS"), 10));
}

#[test]
fn a_lost_answer_to_portmap_with_nftables_leaves_nothing_half_done() {
    with_nftables(|attachment| {
        assert!(attachment.each("recvfrom", "ENOBUFS").iter().sum::<usize>() >= 4);
    });
}
