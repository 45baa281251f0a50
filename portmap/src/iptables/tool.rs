//! The programs: where they are, which variant they are, and how they are run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::error::{Code, Error};

use super::rules::Table;
use super::state::State;
use super::transaction::listing;
use crate::mapping::Family;

/// Seconds to wait for the lock that the legacy variant's programs share.
const LOCK_SECONDS: &str = "5";

/// Searched after PATH: runtimes start plugins with a poor one.
const USUAL_PLACES: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Where iptables keeps its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// In nf_tables.
    Nft,
    /// In x_tables.
    Legacy,
}

/// One variant's programs for one IP version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The IP version.
    pub family: Family,
    /// The variant, where the program's file tells it.
    pub variant: Option<Variant>,
    restore: PathBuf,
}

/// How a program failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The program.
    pub program: String,
    /// Its exit code, if it ended by itself.
    pub exit: Option<i32>,
    /// What it said, in one line.
    pub said: String,
    /// What it printed before it failed.
    pub printed: String,
}

impl Failure {
    /// Whether somebody held the lock all the time.
    pub fn is_lock(&self) -> bool {
        self.said.contains("holding the xtables lock")
            || self.said.contains("Resource temporarily unavailable")
    }

    /// Whether this node has no such table.
    pub fn is_missing_table(&self) -> bool {
        [
            "nable to initialize table",
            "can't initialize",
            "Table does not exist",
            "Protocol not supported",
        ]
        .iter()
        .any(|text| self.said.contains(text))
    }

    /// Whether trying again is pointless.
    pub fn is_permission(&self) -> bool {
        self.said.contains("must be root") || self.said.contains("Operation not permitted")
    }

    /// The line of the input that the program names.
    pub fn line(&self) -> Option<usize> {
        let (_, rest) = self
            .said
            .split_once("line: ")
            .or_else(|| self.said.split_once("line "))?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }

    /// As an error of a code, saying what was tried.
    pub fn error(&self, code: Code, tried: impl Into<String>) -> Error {
        let Failure {
            program,
            exit,
            said,
            printed: _,
        } = self;
        let exit = exit.map_or_else(|| "was killed".to_owned(), |n| format!("exit code {n}"));
        Error::new(code, tried).with_details(format!("{program}: {exit}: {said}"))
    }
}

impl Tool {
    /// Whether there are programs for an IP version.
    pub fn is_installed(family: Family) -> bool {
        find_usual(family).is_some()
    }

    /// The variant that `iptables` is on this node.
    pub fn usual(family: Family) -> Option<Tool> {
        let restore = find_usual(family)?;
        let variant = variant_of(&restore);
        Some(Tool {
            family,
            variant,
            restore,
        })
    }

    /// The programs of one variant, by their own name or as the usual one.
    pub fn of(family: Family, variant: Variant) -> Option<Tool> {
        let infix = match variant {
            Variant::Nft => "nft",
            Variant::Legacy => "legacy",
        };
        match find(&format!("{}-{infix}-restore", base(family))) {
            Some(restore) => Some(Tool {
                family,
                variant: Some(variant),
                restore,
            }),
            None => Tool::usual(family).filter(|tool| tool.variant.is_none_or(|v| v == variant)),
        }
    }

    /// Runs one restore file; an empty one needs no program.
    ///
    /// # Errors
    /// How it failed; then nothing was done in the table that failed, nor in those after it.
    pub fn restore(&self, text: &str) -> Result<String, Failure> {
        if text.is_empty() {
            return Ok(String::new());
        }
        let mut command = Command::new(&self.restore);
        command.args(["--noflush", "-w", LOCK_SECONDS]);
        run(&self.restore, command, text)
    }

    /// Everything in the given tables.
    ///
    /// # Errors
    /// How it failed.
    pub fn save(&self, tables: &[Table]) -> Result<State, Failure> {
        let path = self.save_program();
        let mut state = State::default();
        for table in tables {
            let mut command = Command::new(&path);
            command.args(["-t", table.name()]);
            state.merge(State::from_save(&run(&path, command, "")?));
        }
        Ok(state)
    }

    /// Everything in a table as it is printed, with counters.
    ///
    /// # Errors
    /// How it failed.
    pub fn save_counted(&self, table: Table) -> Result<String, Failure> {
        let path = self.save_program();
        let mut command = Command::new(&path);
        command.args(["-c", "-t", table.name()]);
        run(&path, command, "")
    }

    fn save_program(&self) -> PathBuf {
        let name = self
            .restore
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        self.restore
            .with_file_name(name.replace("-restore", "-save"))
    }

    /// Whether a chain of the nat table exists.
    pub fn has_chain(&self, name: &str) -> bool {
        matches!(self.list(&[(Table::Nat, name)]), Ok(Some(_)))
    }

    /// Lists chains that every such table has.
    ///
    /// # Errors
    /// How it failed.
    pub fn probe(&self, chains: &[(Table, &str)]) -> Result<(), Failure> {
        self.restore(&listing(chains)).map(drop)
    }

    /// The given chains, or `None` when one of them does not exist.
    ///
    /// # Errors
    /// How it failed for any other reason.
    pub fn list(&self, chains: &[(Table, &str)]) -> Result<Option<State>, Failure> {
        match self.restore(&listing(chains)) {
            Ok(printed) => Ok(Some(State::from_listing(&printed))),
            Err(failure) if failure.is_lock() || failure.is_permission() => Err(failure),
            Err(_) => Ok(None),
        }
    }
}

fn base(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

fn find_usual(family: Family) -> Option<PathBuf> {
    find(&format!("{}-restore", base(family)))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(USUAL_PLACES.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// All of iptables' programs are links to one file of their variant.
fn variant_of(program: &Path) -> Option<Variant> {
    let file = program.canonicalize().ok()?;
    let name = file.file_name()?.to_string_lossy();
    match (name.contains("nft"), name.contains("legacy")) {
        (true, false) => Some(Variant::Nft),
        (false, true) => Some(Variant::Legacy),
        _ => None,
    }
}

fn run(path: &Path, mut command: Command, input: &str) -> Result<String, Failure> {
    let program = path.display().to_string();
    let failed = |said: String| Failure {
        program: program.clone(),
        exit: None,
        said,
        printed: String::new(),
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| failed(cause.to_string()))?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(input.as_bytes()),
        None => Ok(()),
    };
    let output = child
        .wait_with_output()
        .map_err(|cause| failed(cause.to_string()))?;
    if output.status.success() {
        // Of nothing, or of a part that makes sense, the program says nothing.
        return match written {
            Ok(()) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Err(cause) => Err(failed(format!("its input could not be written: {cause}"))),
        };
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Try `"))
        .collect();
    Err(Failure {
        program: program.clone(),
        exit: output.status.code(),
        said: lines.join("; "),
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}
