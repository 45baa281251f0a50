//! Datagrams of nfnetlink: objects of nf_tables, connections.
#![no_main]

use common::sys::netlink::{split, verdict};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (message, flags) in split(bytes).0 {
        let _ = verdict(&message.body, flags);
        let attributes = message.body.get(4..).unwrap_or(&[]);
        portmap::fuzzed::nftables::object(attributes);
        portmap::fuzzed::connection(attributes);
    }
});
