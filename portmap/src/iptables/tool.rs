//! The programs: where they are, which variant they are, and how they are run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use common::Family;
use common::error::{Code, Context, Error};
use xtables::state::State;
use xtables::{Table, Variant};

use super::kernel;
use crate::program::{self, ended, find};

/// Seconds to wait for the lock that the legacy variant's programs share.
const LOCK_SECONDS: &str = "5";

/// One variant's programs for one IP version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The IP version.
    pub family: Family,
    /// The variant, where the program's file shows it.
    pub variant: Option<Variant>,
    restore: PathBuf,
}

/// How a program failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The program.
    pub program: String,
    /// How it ended; `None` if it did not start, or was not waited for.
    pub exit: Option<ExitStatus>,
    /// What it said, in one line.
    pub said: String,
    /// What it printed before it failed.
    pub printed: String,
    /// Whether it was killed as it did not end.
    pub is_overdue: bool,
}

impl Failure {
    /// Whether another process held the lock all the time, or whatever else it waited for.
    pub fn is_lock(&self) -> bool {
        self.is_overdue
            || self.said.contains("holding the xtables lock")
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

    /// The code of a failure that trying again, or other input, does not mend.
    pub fn hopeless(&self) -> Option<Code> {
        if self.is_lock() {
            Some(Code::TryAgainLater)
        } else if self.is_missing_table() {
            Some(Code::Unsupported)
        } else {
            self.is_permission().then_some(Code::System)
        }
    }

    /// Whether the program has judged its input: one that did not start or was killed has not.
    pub fn is_verdict(&self) -> bool {
        self.exit.is_some_and(|exit| exit.code().is_some())
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
            is_overdue: _,
        } = self;
        let exit = match exit {
            Some(exit) => format!("{}: ", ended(*exit)),
            None => String::new(),
        };
        Error::new(code, tried).with_details(format!("{program}: {exit}{said}"))
    }
}

impl Tool {
    /// The variant that `iptables` is on this node; `None` where it is not installed.
    ///
    /// # Errors
    /// Code 100 when that cannot be found out.
    pub fn usual(family: Family) -> Result<Option<Tool>, Error> {
        let Some(restore) = find(&format!("{}-restore", base(family)))? else {
            return Ok(None);
        };
        Ok(Some(Tool {
            family,
            variant: variant_of(&restore)?,
            restore,
        }))
    }

    /// The nf_tables variant, where no program is needed.
    pub fn without_program(family: Family) -> Tool {
        Tool {
            family,
            variant: Some(Variant::Nft),
            restore: PathBuf::new(),
        }
    }

    /// The programs of one variant, by their own name or as the usual one.
    ///
    /// # Errors
    /// As [`Tool::usual`].
    pub fn of(family: Family, variant: Variant) -> Result<Option<Tool>, Error> {
        let infix = match variant {
            Variant::Nft => "nft",
            Variant::Legacy => "legacy",
        };
        let is_one = |tool: &Tool| tool.variant.is_none_or(|v| v == variant);
        match find(&format!("{}-{infix}-restore", base(family)))? {
            Some(restore) => Ok(Some(Tool {
                family,
                variant: Some(variant),
                restore,
            })),
            None => Ok(Tool::usual(family)?.filter(is_one)),
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
        run(&self.restore, &["--noflush", "-w", LOCK_SECONDS], text)
    }

    /// Everything in the given tables.
    ///
    /// # Errors
    /// How it failed.
    pub fn save(&self, tables: &[Table]) -> Result<State, Failure> {
        let mut state = State::default();
        for table in tables {
            state.merge(State::from_save(&self.saved(*table, &[])?));
        }
        Ok(state)
    }

    /// Everything in a table as it is printed, with counters.
    ///
    /// # Errors
    /// How it failed.
    pub fn save_counted(&self, table: Table) -> Result<String, Failure> {
        self.saved(table, &["-c"])
    }

    /// Every table as it is printed.
    ///
    /// # Errors
    /// How it failed.
    pub fn save_all(&self) -> Result<String, Failure> {
        run(&self.save_program(), &[], "")
    }

    /// What the program prints of a table. One that could not print all of it calls that a success.
    fn saved(&self, table: Table, options: &[&str]) -> Result<String, Failure> {
        let path = self.save_program();
        let printed = run(&path, &[options, &["-t", table.name()]].concat(), "")?;
        let is_nothing = || printed.is_empty() && self.has_none(table);
        match printed.lines().any(|line| line == "COMMIT") || is_nothing() {
            true => Ok(printed),
            false => Err(Failure {
                program: path.display().to_string(),
                exit: Some(ExitStatus::default()),
                said: format!("its list of table {} is truncated", table.name()),
                printed,
                is_overdue: false,
            }),
        }
    }

    /// Whether the kernel has no such table, of which nothing is printed: the legacy variant's program makes it.
    fn has_none(&self, table: Table) -> bool {
        let is_missing =
            |variant| matches!(kernel::has_table(variant, self.family, table), Ok(false));
        let is_nft = || {
            let version = run(&self.restore, &["--version"], "");
            version.is_ok_and(|said| said.contains("nf_tables"))
        };
        match self.variant {
            Some(Variant::Legacy) => false,
            Some(Variant::Nft) => is_missing(Variant::Nft),
            None => is_missing(Variant::Nft) && (is_missing(Variant::Legacy) || is_nft()),
        }
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
    ///
    /// # Errors
    /// Code 100 when it cannot be found out.
    pub fn has_chain(&self, name: &str) -> Result<bool, Error> {
        match self.variant {
            Some(Variant::Legacy) => {
                let found = kernel::chains(self.family, &[name.to_owned()])?;
                Ok(!found.is_empty())
            }
            Some(Variant::Nft) | None => {
                let tried = || format!("look for chain {name} ({})", self.family);
                let state = self.save(&[Table::Nat]);
                let state = state.map_err(|failure| failure.error(Code::System, tried()))?;
                Ok(state.chain(name).is_some())
            }
        }
    }
}

fn base(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

/// All of iptables' programs are links to one file of their variant.
fn variant_of(program: &Path) -> Result<Option<Variant>, Error> {
    let file = program.canonicalize();
    let file = file.context(Code::System, || format!("follow {}", program.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(match (name.contains("nft"), name.contains("legacy")) {
        (true, false) => Some(Variant::Nft),
        (false, true) => Some(Variant::Legacy),
        _ => None,
    })
}

fn run(path: &Path, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let failed = |exit, said, printed, is_overdue| Failure {
        program: path.display().to_string(),
        exit,
        said,
        printed,
        is_overdue,
    };
    let output = program::run(path, arguments, input).map_err(|cause| {
        let is_overdue = cause.kind() == io::ErrorKind::TimedOut;
        failed(None, cause.to_string(), String::new(), is_overdue)
    })?;
    let lines = output.said.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("Try `"))
        .collect();
    let left_out = output.printed.lines().chain(output.said.lines());
    let said = match left_out.into_iter().find(|line| is_left_out(line)) {
        Some(line) => line.to_owned(),
        None if output.status.success() => return Ok(output.printed),
        None => lines.join("; "),
    };
    Err(failed(Some(output.status), said, output.printed, false))
}

/// Whether a program says of a table that it does not understand it. It calls that a success.
fn is_left_out(line: &str) -> bool {
    line.starts_with("# Table `") && line.contains("' is incompatible")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_not_started_or_was_killed_has_not_judged_its_input() {
        let run = |program, script| run(Path::new(program), &["-c", script], "").unwrap_err();
        for (program, script, says, is_verdict) in [
            ("/bin/sh/x", "", "/bin/sh/x: Not a directory", false),
            ("/dev/null", "", "/dev/null: Permission denied", false),
            (
                "/bin/sh",
                "kill -9 $$",
                "/bin/sh: killed by signal 9",
                false,
            ),
            (
                "/bin/sh",
                "echo no >&2; exit 2",
                "/bin/sh: exit code 2: no",
                true,
            ),
        ] {
            let failure = run(program, script);
            let error = failure.error(Code::InvalidConfig, "try").to_string();
            assert!(error.contains(says), "{error}");
            assert_eq!(failure.is_verdict(), is_verdict, "{error}");
        }
    }

    #[test]
    fn a_table_that_is_left_out_is_a_failure() {
        let shell = |script: &str| run(Path::new("/bin/sh"), &["-c", script], "");
        let said = "# Table `nat' is incompatible, use 'nft' tool.";
        for redirection in ["", ">&2"] {
            let failure = shell(&format!(
                "echo \"{}\" {redirection}",
                said.replace('`', "\\`")
            ));
            assert_eq!(failure.unwrap_err().said, said);
        }
        let rule = "-A x -m comment --comment \"# Table is incompatible\"";
        assert!(shell(&format!("echo '{rule}'")).is_ok());
    }
}
