//! What the commands that run a network's plugins share.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{DONE, FAILED, complain, note};
use crate::cli::network::Common;
use crate::runner::answer::Answer;
use crate::runner::chain::Outcome;
use crate::runner::request::Request;
use crate::runner::trace::{Observer, answer_text, request_text};
use crate::runner::{Result, Runner, Verb, setup};

/// The exit code; a failure is shown.
pub fn outcome(common: &Common, done: Result<()>) -> std::result::Result<u8, common::Error> {
    let Err(error) = done else {
        return Ok(DONE);
    };
    let printed = match common.json {
        true => print(&format!("{:#}", json!({ "error": error.to_json() }))),
        false => Ok(()),
    };
    complain(&error);
    printed.map(|()| FAILED)
}

/// The runner, with what the options say.
pub fn runner(common: &Common) -> Runner<'static> {
    setup::runner(common, Some(if common.trace { &Trace } else { &Quiet }))
}

/// Shows everything.
struct Trace;

/// Passes on what plugins write to stderr, as libcni does; after a failure it is part of the error.
struct Quiet;

impl Observer for Quiet {
    fn request(&self, _: &Request, _: &Path) {}

    fn answer(&self, _: &Request, answer: &Answer, _: Duration) {
        if answer.success && !answer.stderr.is_empty() {
            note(String::from_utf8_lossy(&answer.stderr).trim_end());
        }
    }
}

impl Observer for Trace {
    fn request(&self, request: &Request, program: &Path) {
        note(request_text(request, program).trim_end());
    }

    fn answer(&self, request: &Request, answer: &Answer, took: Duration) {
        note(answer_text(request, answer, took).trim_end());
    }
}

/// Shows how a verb went.
///
/// # Errors
/// When stdout takes nothing.
pub fn tell(common: &Common, verb: Verb, network: &str, outcome: &Outcome) -> Result<()> {
    let skipped = match outcome {
        Outcome::Done => None,
        Outcome::Skipped(reason) => Some(reason),
    };
    if common.json {
        let mut document = json!({"network": network, "verb": verb.name(), "ok": true});
        if let (Some(reason), Some(object)) = (skipped, document.as_object_mut()) {
            object.insert("skipped".into(), json!(reason));
        }
        print(&format!("{document:#}"))?;
    } else if let Some(reason) = skipped {
        note(&format!("{verb} went to no plugin: {reason}"));
    }
    Ok(())
}

/// A line on stdout.
///
/// # Errors
/// As [`super::print`].
pub fn print(text: &str) -> std::result::Result<(), common::Error> {
    super::print(&format!("{text}\n")).map(drop)
}
