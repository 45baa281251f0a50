//! What the commands that run a network's plugins share.

use serde_json::json;

use super::{DONE, FAILED, complain, note};
use crate::cli::network::Common;
use crate::runner::chain::Outcome;
use crate::runner::{Result, Verb};

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
