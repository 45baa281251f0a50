//! The configuration and `prevResult` of `portmap`, and what becomes of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = fuzz::request(bytes) {
        portmap::fuzzed::configuration(&request);
    }
});
