//! Attachments that more than one kind of fault is tried on.

use super::Attachment;
use crate::{bandwidth, portmap};

/// Limits of both directions.
#[track_caller]
pub fn with_bandwidth(each: impl FnOnce(&Attachment<'_>)) {
    let pod = bandwidth::pod::Pod::new();
    let conf = pod.conf(bandwidth::pod::both()).to_string();
    let attachment = Attachment {
        host: pod.host(),
        call: &|verb| pod.call(verb).stdin(conf.clone()),
        state: &|| pod.state(),
    };
    each(&attachment);
}

/// A port mapped with nftables, on a node that has what all attachments share.
#[track_caller]
pub fn with_nftables(each: impl FnOnce(&Attachment<'_>)) {
    let net = portmap::nftables::host_with(1);
    let pod = portmap::nftables::Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    pod.does("DEL", &net.host);
    let attachment = Attachment {
        host: &net.host,
        call: &|verb| pod.prepared(verb, &pod.request()),
        state: &|| portmap::nftables::contents(&net.host),
    };
    each(&attachment);
}
