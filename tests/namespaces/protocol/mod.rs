//! The protocol, the same for every plugin: recorded answers of the reference, what runtimes send,
//! and what nobody should send.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod captures;
mod environment;
mod recorded;
mod stdin;

use sandbox::plugin::Answer;
use serde_json::Value;

/// The plugins that answer. A plugin joins every test of the protocol by its name here.
const PLUGINS: &[&str] = &["tuning"];

/// Where recorded requests and answers are.
const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata");

/// The directory for what a plugin keeps, where a request says nothing about it: below `target`.
const DATA_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/protocol");

/// An answer that must be one JSON error of the plugin: its code and its `msg`.
#[track_caller]
fn error(answer: &Answer) -> (u64, String) {
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let error: Value = serde_json::from_str(&answer.stdout)
        .unwrap_or_else(|e| panic!("one JSON document expected ({e}): {answer:?}"));
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    assert!(!text("cniVersion").is_empty(), "{error}");
    let code = error["code"].as_u64().unwrap_or_else(|| panic!("{error}"));
    (code, text("msg"))
}
