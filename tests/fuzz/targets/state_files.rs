//! Files that `tuning` reads: originals and the allowlist.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if common::json::depth(bytes) <= 100 {
        tuning::fuzzed::backup(bytes);
    }
    tuning::fuzzed::allowlist(&String::from_utf8_lossy(bytes));
});
