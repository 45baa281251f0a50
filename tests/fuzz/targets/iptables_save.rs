//! What `iptables-save` and `-S` print.
#![no_main]

use common::Attachment;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let attachment = Attachment {
        network: "net1".into(),
        container: "cid-0001".into(),
        ifname: "eth0".into(),
    };
    portmap::fuzzed::iptables::save(&String::from_utf8_lossy(bytes), &attachment);
});
