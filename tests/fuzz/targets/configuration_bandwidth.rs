//! The configuration and `prevResult` of `bandwidth`, and what becomes of them. `CNI_ARGS` gives the
//! sizes of packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(request) = fuzz::request(bytes) else {
        return;
    };
    let number = |at| common::sys::netlink::u32_at(bytes, at).unwrap_or(1500);
    for (mtu, gso) in [(1500, 65_536), (u32::MAX, u32::MAX), (number(0), number(4))] {
        bandwidth::fuzzed::configuration(&request, mtu, gso);
    }
});
