//! The command line for operators, beside the protocol: used only without `CNI_COMMAND` and with
//! arguments.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`args`] | options and arguments |
//! | [`table`] | tables for people |
//! | [`reconcile`] | re-applies what has drifted |
//! | [`gc`] | removes what no attachment of the cache owns |
//! | [`install`] | puts the running binary into a directory, and takes it back |
//! | [`completions`] | for shells |

pub mod args;
mod completions;
mod gc;
mod help;
mod install;
mod networks;
mod reconcile;
mod repair;
pub mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::error::{Code, Context, Error};
use crate::json::Json;
use crate::plugin::Plugin;
use crate::request::Request;
use args::Args;

/// The version of what `--json` prints; it grows when a field changes its meaning or goes away.
pub const SCHEMA: i64 = 1;

/// Exit code: what was asked for failed, or was not found.
pub const FAILED: u8 = 1;
/// Exit code: the command line makes no sense.
pub const USAGE: u8 = 2;
/// Exit code: something was not in order, and was repaired (or would be, with `--dry-run`).
pub const REPAIRED: u8 = 10;

/// One command.
#[derive(Clone, Copy)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, as the help shows them.
    pub arguments: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Its options: with the name of their value, and what they do.
    pub options: &'static [(&'static str, &'static str)],
    /// Runs it, and gives the exit code.
    pub run: fn(Args) -> Result<u8, Failure>,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// The command line makes no sense: why.
    Usage(String),
    /// Something failed.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

/// The option that every command with a table has.
pub const JSON: (&str, &str) = ("--json", "print JSON, for programs");
/// Where libcni keeps its cache.
pub const CACHE_DIR: (&str, &str) = ("--cache-dir DIR", "libcni's cache (default /var/lib/cni)");

/// How long a runtime may take for the rest of an ADD or DEL, in seconds: its cache says what became
/// of an attachment only after the last plugin of the chain.
const GRACE: u64 = 10;

/// Carries out the command line of this process.
pub fn run<P: Plugin>() -> ExitCode {
    let outcome = Args::of_process().and_then(|mut args| match args.next() {
        Some(name) => dispatch::<P>(&name, args),
        None => Err(Failure::Usage("no command".into())),
    });
    let (code, told) = match outcome {
        Ok(code) => (code, None),
        Err(Failure::Error(error)) => (FAILED, Some(error.to_string())),
        Err(Failure::Usage(why)) => {
            let name = P::NAME;
            (USAGE, Some(format!("{why}\nTry '{name} --help'.")))
        }
    };
    if let Some(told) = told {
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(io::stderr(), "{}: {told}", P::NAME);
    }
    ExitCode::from(code)
}

fn dispatch<P: Plugin>(name: &str, args: Args) -> Result<u8, Failure> {
    match name {
        "--help" | "-h" | "help" => {
            args.none()?;
            return print(&help::all(P::NAME, &commands::<P>()));
        }
        "--version" | "-V" => {
            args.none()?;
            return print(&format!("{} {}\n", P::NAME, env!("CARGO_PKG_VERSION")));
        }
        "completions" if !args.asks_for_help() => {
            return completions::run(P::NAME, &commands::<P>(), args);
        }
        _ => {}
    }
    let commands = commands::<P>();
    let Some(command) = commands.iter().find(|command| command.name == name) else {
        return Err(Failure::Usage(format!("there is no command {name:?}")));
    };
    if args.asks_for_help() {
        return print(&help::one(P::NAME, command));
    }
    (command.run)(args)
}

/// The plugin's own commands, then those that every plugin has.
fn commands<P: Plugin>() -> Vec<Command> {
    let mut commands = P::COMMANDS.to_vec();
    commands.extend([
        reconcile::command::<P>(),
        gc::command::<P>(),
        install::install::<P>(),
        install::uninstall::<P>(),
        completions::COMMAND,
    ]);
    commands
}

/// Writes to stdout, and gives the exit code of success.
///
/// # Errors
/// Code 5 when stdout cannot be written; that a reader has had enough (`| head`) is no error.
pub fn print(text: &str) -> Result<u8, Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        written => {
            written.context(Code::Io, || "write to stdout".into())?;
            Ok(0)
        }
    }
}

/// Shows on stderr what a verb warns of, which is for people here: each a line.
fn show_warnings<P: Plugin>(request: &Request) {
    for warning in request.log.take().warnings {
        let text = warning.text.replace(['\n', '\r'], " ");
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(io::stderr(), "{}: warning: {text}", P::NAME);
    }
}

/// A document of `--json`: the schema's version, then the given members.
pub fn document(members: impl IntoIterator<Item = (&'static str, Json)>) -> String {
    let mut fields = vec![("schema".to_owned(), Json::from(SCHEMA))];
    fields.extend(members.into_iter().map(|(key, value)| (key.into(), value)));
    Json::Object(fields).pretty() + "\n"
}

/// One object of a document.
pub fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    let fields = members.into_iter().map(|(key, value)| (key.into(), value));
    Json::Object(fields.collect())
}
