//! What reads bytes of others, for the fuzz targets.

use common::Request;
use common::sys::netlink::Message;

use crate::config::Config;
use crate::owner::Mark;
use crate::plan::{Facts, Plan, Side};
use crate::tc::{filter, qdisc};

/// A configuration, as every verb reads it, and its plan for a link of any size.
pub fn configuration(request: &Request, mtu: u32, gso: u32) {
    let _ = request.conf.prev_result();
    let _ = request.conf.valid_attachments();
    let Ok(config) = Config::parse(request) else {
        return;
    };
    for side in [Side::Host, Side::Container] {
        let plan = Plan::new(
            &config,
            &Facts {
                side,
                link: "veth0".into(),
                mtu,
                gso,
                ingress_ifb: "bwpa".into(),
                egress_ifb: "bwpb".into(),
            },
        );
        assert_eq!(
            config.is_off(),
            plan.root.is_none() && plan.detours.is_empty()
        );
        let _ = plan.too_small();
        let numbers = plan.root.iter().chain(plan.detours.iter().map(|d| &d.tbf));
        for numbers in numbers {
            let _ = (numbers.ours.burst(), numbers.ours.to_string());
            assert!(numbers.ours.rate > 0 && numbers.ours.buffer > 0);
        }
        for planned in plan.detours.iter().flat_map(|detour| &detour.filters) {
            let _ = planned.to_string();
        }
    }
}

/// One message about traffic control.
pub fn message(message: &Message, link: u32) {
    if let Some(filter) = filter::decode(message, link) {
        let _ = format!("{filter:?}");
    }
    if let Some(bucket) = qdisc::decode(message, link).and_then(|qdisc| qdisc.bucket) {
        let _ = (bucket.tbf.to_string(), bucket.tbf.burst());
    }
}

/// The alias of a link.
pub fn alias(text: &str) {
    let _ = Mark::parse(text);
}
