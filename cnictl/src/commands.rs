//! A file per command; what several of them share is here.

mod add;
mod check;
mod completions;
mod del;
mod doctor;
mod explain;
mod follow;
mod gc;
#[cfg(test)]
mod golden;
mod install;
mod limit;
mod limits;
mod lint;
mod man;
mod metrics;
pub(crate) mod ports;
mod reconcile;
mod runner;
mod status;
mod sysctls;
mod uninstall;
mod usage;
mod version;
mod wait;
mod watch;
mod who;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use common::cache::{Cache, DEFAULT_DIR};
use common::error::shortened;
use common::sys::stdout;
use common::{Code, Context, Error};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

use crate::cli::{Cli, Command};
use crate::note;
use crate::table::Table;
use runner::outcome;

/// The version of what `--json` prints; it grows when a field changes its meaning or goes away.
const SCHEMA: u64 = 1;

/// Exit code: done.
const DONE: u8 = 0;
/// Exit code: what was requested failed, or was not found.
const FAILED: u8 = 1;
/// Exit code: usage error.
const USAGE: u8 = 2;
/// Exit code: something was not in order, and was repaired (or would be, with `--dry-run`).
const REPAIRED: u8 = 10;

/// The most of a word that an error is shown with, in bytes.
const LONGEST: usize = 1000;

/// Carries out a command line.
pub fn run(cli: &Cli) -> ExitCode {
    let done = match &cli.command {
        Command::Add(args) => outcome(&args.attach.common, add::run(args)),
        Command::Check(args) => outcome(&args.common, check::run(args)),
        Command::Del(args) => outcome(&args.common, del::run(args)),
        Command::Gc(args) => gc::run(args),
        Command::Status(args) => outcome(&args.common, status::run(args)),
        Command::Version(args) => outcome(&args.common, version::run(args)),
        Command::Ports(args) => ports::run(args),
        Command::Limits(args) => limits::run(args),
        Command::Limit(args) => limit::run(args),
        Command::Sysctls(args) => sysctls::run(args),
        Command::Who(args) => who::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Metrics(args) => metrics::run(args),
        Command::Reconcile(args) => reconcile::run(args),
        Command::Follow(args) => follow::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Install(args) => install::run(args),
        Command::Uninstall(args) => uninstall::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Wait => wait::run(),
        Command::Man(args) => man::run(args),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        if cli.command.is_json() {
            // Where stdout is what failed, stderr has the error.
            let _ = print(&document(json!({"error": failure(&error)})));
        }
        complain(&error);
        FAILED
    }))
}

/// Answers a command line that names no command to run: help and the version on stdout, a usage error on
/// stderr.
pub fn refuse(error: clap::Error) -> ExitCode {
    let error = usage::bounded(error);
    let text = error.render().to_string();
    if error.use_stderr() {
        note(text.trim_end());
        return ExitCode::from(USAGE);
    }
    ExitCode::from(print(&text).unwrap_or_else(|error| {
        complain(&error);
        FAILED
    }))
}

/// Writes to stdout, and gives the exit code of success. That a reader has had enough (`| head`) is not an
/// error; that there is no stdout is one.
fn print(text: &str) -> Result<u8, Error> {
    is_read(text).map(|_| DONE)
}

/// The same, saying whether anybody reads it.
fn is_read(text: &str) -> Result<bool, Error> {
    if stdout::was_closed() && !text.is_empty() {
        return Err(Error::new(Code::Io, "write to stdout").with_details("it is closed"));
    }
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => {
            written.context(Code::Io, || "write to stdout".into())?;
            Ok(true)
        }
    }
}

/// The runtime's cache. On a node without pods there may be none, but a directory that was named is there.
///
/// # Errors
/// What cannot be read, or is not there.
fn cache(dir: &Path) -> Result<Cache, Error> {
    let cache = Cache::read(dir)?;
    let is_there = || {
        let tried = || format!("look at --cache-dir {}", dir.display());
        dir.try_exists().context(Code::Io, tried)
    };
    if !cache.exists && dir != Path::new(DEFAULT_DIR) && !is_there()? {
        let msg = format!("--cache-dir {} does not exist", dir.display());
        return Err(Error::new(Code::Io, msg).with_details(format!(
            "libcni's cache is in {DEFAULT_DIR} unless the runtime sets another"
        )));
    }
    Ok(cache)
}

/// What a table that rests on the cache lacks: the files that could not be read, and what else is not
/// known.
fn lacking(cache: &Cache, unknown: Vec<Error>) -> Vec<Error> {
    cache.faults.iter().cloned().chain(unknown).collect()
}

/// The same as a document's list.
fn unreadable(lacking: &[Error]) -> Vec<String> {
    lacking.iter().map(Error::to_string).collect()
}

/// The exit code after such a table was shown.
fn whole(lacking: Vec<Error>) -> u8 {
    match Error::all(lacking) {
        None => DONE,
        Some(error) => {
            complain(&error);
            FAILED
        }
    }
}

/// Rows in the order of a column of their table, where one is named.
fn sorted<T>(rows: Vec<T>, by: Option<&str>, table: impl Fn(&[T]) -> Table) -> Vec<T> {
    let Some(column) = by else { return rows };
    let order = table(&rows).order(column);
    let mut rows: Vec<Option<T>> = rows.into_iter().map(Some).collect();
    let take = |place: usize| rows.get_mut(place)?.take();
    order.into_iter().filter_map(take).collect()
}

/// An error on stderr. It may quote a path or a name of any length.
fn complain(error: &dyn Display) {
    let text = error.to_string();
    let words: Vec<_> = text
        .split(' ')
        .map(|word| shortened(word, LONGEST))
        .collect();
    note(&format!("cnictl: {}", words.join(" ")));
}

/// A document of `--json`: the schema's version, then the given members.
fn document(members: Value) -> String {
    let mut document = json!({"schema": SCHEMA});
    if let (Value::Object(document), Value::Object(members)) = (&mut document, members) {
        document.extend(members);
    }
    let mut text = Vec::new();
    let indented = PrettyFormatter::with_indent(b"    ");
    // Neither the document nor memory can refuse.
    let _ = document.serialize(&mut Serializer::with_formatter(&mut text, indented));
    String::from_utf8_lossy(&text).into_owned() + "\n"
}

/// An error as an object.
fn failure(error: &Error) -> Value {
    json!({"code": error.code.number(), "msg": error.msg, "details": error.details})
}
