//! The configuration and `prevResult` of `tuning`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = fuzz::request(bytes) {
        tuning::fuzzed::configuration(&request);
    }
});
