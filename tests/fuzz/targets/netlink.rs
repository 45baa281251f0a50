//! Datagrams of rtnetlink: links, qdiscs, filters.
#![no_main]

use common::sys::link;
use common::sys::netlink::{split, u32_at, verdict};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (mut message, flags) in split(bytes).0 {
        let _ = verdict(&message.body, flags);
        let index = u32_at(&message.body, 4).unwrap_or(0);
        // RTM_NEWLINK, RTM_NEWQDISC, RTM_NEWTFILTER
        for kind in [16, 36, 44] {
            message.kind = kind;
            bandwidth::fuzzed::message(&message, index);
            if let Some(alias) = link::decode(&message).and_then(|link| link.alias) {
                bandwidth::fuzzed::alias(&alias);
            }
        }
    }
});
