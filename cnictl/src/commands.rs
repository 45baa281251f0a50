//! A file per command; what several of them share is here.

mod add;
mod check;
mod del;
mod gc;
mod status;
mod version;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::cli::{Cli, Command, Common};
use crate::runner::answer::Answer;
use crate::runner::chain::Outcome;
use crate::runner::request::Request;
use crate::runner::trace::{Observer, answer_text, request_text};
use crate::runner::{Error, Runner, Verb, setup};

/// Carries out a command line.
pub fn run(cli: &Cli) -> ExitCode {
    let (common, done) = match &cli.command {
        Command::Add(attach) => (&attach.common, add::run(attach)),
        Command::Check(attach) => (&attach.common, check::run(attach)),
        Command::Del(attach) => (&attach.common, del::run(attach)),
        Command::Gc(args) => (&args.common, gc::run(args)),
        Command::Status(whole) => (&whole.common, status::run(whole)),
        Command::Version(whole) => (&whole.common, version::run(whole)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell_error(common, &error);
            ExitCode::FAILURE
        }
    }
}

fn runner(common: &Common) -> Runner<'static> {
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

fn tell(common: &Common, verb: Verb, network: &str, outcome: &Outcome) {
    let skipped = match outcome {
        Outcome::Done => None,
        Outcome::Skipped(reason) => Some(reason),
    };
    if common.json {
        let mut document = json!({"network": network, "verb": verb.name(), "ok": true});
        if let (Some(reason), Some(object)) = (skipped, document.as_object_mut()) {
            object.insert("skipped".into(), json!(reason));
        }
        print(&format!("{document:#}"));
    } else if let Some(reason) = skipped {
        note(&format!("{verb} went to no plugin: {reason}"));
    }
}

fn tell_error(common: &Common, error: &Error) {
    if common.json {
        print(&format!("{:#}", json!({ "error": error.to_json() })));
    }
    note(&format!("cnictl: {error}"));
}

/// A line on stdout. Nobody may be reading any more, which is no reason to fail.
fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// A line on stderr. Nobody may be reading any more, which is no reason to fail.
fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
