//! What a plugin may answer.

use sandbox::plugin::Answer;
use serde_json::Value;

/// Asserts success without a word.
#[track_caller]
pub fn succeeds(answer: &Answer) {
    let told = (answer.code, answer.stdout.as_str(), answer.stderr.as_str());
    assert_eq!(told, (Some(0), "", ""));
}

/// An answer that must be one JSON error with its version and a message: its code, its `msg` and its
/// `details`.
#[track_caller]
pub fn error_parts(answer: &Answer) -> (u64, String, String) {
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let error: Value = serde_json::from_str(&answer.stdout)
        .unwrap_or_else(|e| panic!("one JSON document expected ({e}): {answer:?}"));
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    assert!(!text("cniVersion").is_empty(), "{error}");
    assert!(!text("msg").is_empty(), "{error}");
    let code = error["code"].as_u64().unwrap_or_else(|| panic!("{error}"));
    (code, text("msg"), text("details"))
}

/// The same, its `msg` and `details` in one text.
#[track_caller]
pub fn error(answer: &Answer) -> (u64, String) {
    let (code, msg, details) = error_parts(answer);
    (code, format!("{msg}: {details}"))
}
