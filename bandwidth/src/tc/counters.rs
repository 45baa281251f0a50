//! Token buckets with what they counted.

use std::collections::HashMap;

use common::sys::netlink::{DUMP, Message, Netlink, Refusal, attribute, u32_at, u64_at};
use nix::libc;

use super::qdisc::{self, QUEUE, Queued, decode, queued};
use super::{BUCKET, HEADER, Header, header};
use crate::tbf::Tbf;

/// `TCA_STATS2` (include/uapi/linux/rtnetlink.h), and what is in it
/// (include/uapi/linux/gen_stats.h).
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_STATS_PKT64: u16 = 8;

/// A token bucket and its counters since it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its numbers.
    pub bucket: Tbf,
    /// Its queue.
    pub queue: Queued,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u64,
    /// Packets dropped.
    pub drops: u32,
    /// How often a packet had to wait.
    pub overlimits: u32,
    /// Bytes that wait now.
    pub backlog: u32,
}

/// The token buckets at the roots of links that have our handle, by the link's index.
///
/// # Errors
/// What the kernel refused.
pub fn roots(netlink: &mut Netlink) -> Result<HashMap<u32, Counted>, Refusal> {
    let replies = Header::default().request(netlink, (libc::RTM_GETQDISC, DUMP), &[])?;
    let mut roots: HashMap<u32, Counted> = replies.iter().filter_map(counted).collect();
    for reply in &replies {
        let below = header(&reply.body).filter(|head| head.parent == QUEUE);
        let queue = below.and_then(|head| Some((head.index, queued(reply, head.index)?)));
        if let Some((index, queue)) = queue
            && let Some(root) = roots.get_mut(&index)
        {
            root.queue = queue;
        }
    }
    Ok(roots)
}

fn counted(message: &Message) -> Option<(u32, Counted)> {
    let index = header(&message.body)?.index;
    let qdisc: qdisc::Qdisc = decode(message, index).filter(|qdisc| qdisc.handle == BUCKET)?;
    let bucket = qdisc.bucket?.tbf;
    let stats = attribute(message.body.get(HEADER..)?, TCA_STATS2).unwrap_or(&[]);
    let basic = attribute(stats, TCA_STATS_BASIC).unwrap_or(&[]);
    let queue = attribute(stats, TCA_STATS_QUEUE).unwrap_or(&[]);
    let packets = attribute(stats, TCA_STATS_PKT64).and_then(|value| u64_at(value, 0));
    let in_queue = |offset| u32_at(queue, offset).unwrap_or(0);
    let counted = Counted {
        bucket,
        queue: qdisc.queue,
        bytes: u64_at(basic, 0).unwrap_or(0),
        packets: packets.unwrap_or_else(|| u32_at(basic, 8).unwrap_or(0).into()),
        // `struct gnet_stats_queue`: qlen, backlog, drops, requeues, overlimits.
        backlog: in_queue(4),
        drops: in_queue(8),
        overlimits: in_queue(16),
    };
    Some((index, counted))
}
