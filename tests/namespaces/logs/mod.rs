//! What requests leave on stderr and in `logFile`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod bandwidth;
mod file;
mod forged;
mod levels;
mod misspelt;
mod portmap;
mod secrets;
mod trace;
mod tuning;

use std::collections::BTreeMap;

use sandbox::plugin::Answer;
use serde_json::{Value, json};

use crate::tuning::pod::Pod;

/// What makes a success say what it has changed.
fn told() -> Value {
    json!({"logLevel": "info"})
}

/// A pod whose requests say what they have changed.
fn tuned() -> Pod {
    let mut pod = Pod::new();
    pod.always(told());
    pod
}

/// A line's pairs.
type Line = BTreeMap<String, String>;

/// The lines of a log, which must hold nothing else.
#[track_caller]
fn lines(text: &str) -> Vec<Line> {
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(pairs).collect()
}

/// The only line that an answer left on stderr.
#[track_caller]
fn line(answer: &Answer) -> Line {
    let all = lines(&answer.stderr);
    assert_eq!(all.len(), 1, "{answer:?}");
    all.into_iter().next().unwrap()
}

/// Takes one line apart: `key=word` or `key="JSON string"`, with a blank between.
#[track_caller]
fn pairs(line: &str) -> Line {
    assert!(line.len() < 4096, "{} bytes", line.len());
    assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
    let mut pairs = Line::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(
            key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{line}"
        );
        let value_and_rest = match value.starts_with('"') {
            true => {
                let mut values = serde_json::Deserializer::from_str(value).into_iter::<String>();
                let text = values
                    .next()
                    .unwrap()
                    .unwrap_or_else(|e| panic!("{e}: {line}"));
                (text, &value[values.byte_offset()..])
            }
            false => {
                let end = value.find(' ').unwrap_or(value.len());
                (value[..end].to_owned(), &value[end..])
            }
        };
        let (text, after) = value_and_rest;
        assert!(!text.is_empty(), "{line}");
        assert_eq!(
            pairs.insert(key.to_owned(), text),
            None,
            "{key} twice: {line}"
        );
        assert!(after.is_empty() || after.starts_with(' '), "{line}");
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    pairs
}

/// The values of some keys, `-` for those that are not there.
fn values<const N: usize>(line: &Line, keys: [&str; N]) -> [String; N] {
    keys.map(|key| line.get(key).map_or("-", String::as_str).to_owned())
}
