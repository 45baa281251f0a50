//! The protocol, the same for every plugin: recorded answers of the reference, what runtimes send,
//! and what nobody should send.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod bounds;
mod captures;
mod environment;
mod recorded;
mod stdin;

use sandbox::plugin::Answer;

use crate::answer::error_parts;

/// The plugins that answer. A plugin joins every test of the protocol by its name here.
const PLUGINS: &[&str] = &["tuning"];

/// Where recorded requests and answers are.
const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");

/// The directory for what a plugin keeps, where a request says nothing about it: below `target`.
const DATA_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/protocol");

/// An answer that must be one JSON error of the plugin: its code and its `msg`.
#[track_caller]
fn error(answer: &Answer) -> (u64, String) {
    let (code, msg, _) = error_parts(answer);
    (code, msg)
}
