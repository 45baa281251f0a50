//! Results, and their conversion between all versions: what a version can say stays the same.
#![no_main]

use common::CniResult;
use common::decode::Object;
use common::json::Json;
use common::version::Version;

fn parse(json: &Json, version: Version) -> Option<CniResult> {
    match json {
        Json::Object(fields) => CniResult::parse(Object::root(fields), version).ok(),
        _ => None,
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if common::json::depth(bytes) > 100 {
        return;
    }
    let Ok(json) = Json::parse(bytes) else {
        return;
    };
    for read in Version::ALL {
        let Some(result) = parse(&json, *read) else {
            continue;
        };
        for version in Version::ALL {
            let text = result.to_json(*version).pretty();
            let printed = Json::parse(text.as_bytes()).expect("our own JSON is read");
            // Keys that one form of result does not know mean something in another.
            if read.family() == version.family() {
                let again = parse(&printed, *version).expect("our own result is read");
                let again = again.to_json(*version).sorted();
                assert_eq!(again.pretty(), printed.sorted().pretty(), "{read} in {version}");
            }
        }
    }
});
