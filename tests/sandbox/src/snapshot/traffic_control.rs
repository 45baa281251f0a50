//! Queueing disciplines and filters, as `tc` sees them.

use std::io;

use serde_json::Value;

use super::json;
use crate::namespace::Namespace;

pub(super) fn qdiscs(namespace: &Namespace) -> io::Result<Vec<Value>> {
    let mut qdiscs = json::list(namespace, &["tc", "-j", "qdisc", "show"])?;
    qdiscs
        .iter_mut()
        .for_each(|qdisc| json::strip(qdisc, &["refcnt", "direct_packets_stat"]));
    Ok(qdiscs)
}

pub(super) fn lines(qdiscs: &[Value]) -> Vec<String> {
    let mut lines: Vec<_> = qdiscs.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

/// `tc` shows filters of one parent at a time, so it is asked for each that can have some. The u32 filters
/// of clsact's two hooks share their hash tables (`tc_u_common` in the kernel's net/sched/cls_u32.c), so
/// either hook shows those of both.
pub(super) fn filters(namespace: &Namespace, qdiscs: &[Value]) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for qdisc in qdiscs {
        let (device, handle) = (json::text(qdisc, "dev"), json::text(qdisc, "handle"));
        let parents = match json::text(qdisc, "kind").as_str() {
            "noqueue" => continue,
            // The two hooks of clsact (TC_H_MIN_INGRESS and TC_H_MIN_EGRESS, linux/pkt_sched.h).
            "clsact" => vec!["ffff:fff2".to_owned(), "ffff:fff3".to_owned()],
            _ => vec![handle],
        };
        for parent in parents {
            let show = [
                "tc", "-j", "filter", "show", "dev", &device, "parent", &parent,
            ];
            for mut filter in json::list(namespace, &show)? {
                // An action's index and a u32 hash table's handle are the next free number; the counts
                // of an action are those of its users.
                json::strip(&mut filter, &["index", "ref", "bind", "fh", "key_ht"]);
                lines.push(format!("dev {device} parent {parent} {filter}"));
            }
        }
    }
    // Their own order stands in them, as preference.
    lines.sort();
    Ok(lines)
}
