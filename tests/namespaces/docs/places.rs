//! What the documentation speaks of exists: files, targets of make, units, commands and their options.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use sandbox::plugin::binary;

use super::markdown::{documents, root};
use super::references::read_all;

/// Why a block cannot be run, and how many there are of each. Whoever adds one says so here.
pub const REASONS: [(&str, usize); 7] = [
    ("a drawing", 2),
    ("builds the project", 3),
    ("installs packages on the machine", 2),
    ("needs a cluster", 6),
    ("needs a container runtime", 2),
    ("run by make nodes", 1),
    ("runs these tests", 1),
];

const PROGRAMS: [&str; 1] = ["cnictl"];

#[test]
fn blocks_that_are_not_run_are_those_that_cannot_be() {
    let mut reasons: BTreeMap<String, usize> = REASONS
        .iter()
        .map(|(reason, _)| ((*reason).to_owned(), 0))
        .collect();
    let blocks = documents().into_iter().flat_map(|one| one.blocks());
    for reason in blocks.filter_map(|block| block.no_run) {
        *reasons.entry(reason).or_default() += 1;
    }
    let expected = REASONS.map(|(reason, count)| (reason.to_owned(), count));
    assert_eq!(reasons, expected.into());
}

/// Four blanks would make a block that nobody runs.
#[test]
fn no_block_is_hidden_by_its_indentation() {
    for document in documents() {
        for (number, line) in document.prose() {
            let before = document.text.lines().nth(number.saturating_sub(2));
            let is_first = before.is_none_or(str::is_empty);
            let is_code = is_first && line.starts_with("    ");
            assert!(!is_code, "{}:{number}: fence it", document.path);
        }
    }
}

#[test]
fn commands_and_files_that_are_named_exist() {
    let mut known = Known::default();
    let mut faults = Vec::new();
    for document in documents() {
        let blocks = document.blocks();
        let blocks = blocks.iter().filter(|block| block.no_run.is_some());
        let lines = blocks.flat_map(|block| block.text.lines());
        let lines = lines.map(|line| line.strip_prefix("# ").unwrap_or(line));
        for line in lines.chain(document.spans()) {
            let told = known.faults(line).into_iter();
            faults.extend(told.map(|fault| format!("{}: `{line}`: {fault}", document.path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What our programs say that they know.
#[derive(Default)]
struct Known(BTreeMap<String, String>);

impl Known {
    fn help(&mut self, program: &str, command: Option<&str>) -> String {
        let key = format!("{program} {}", command.unwrap_or_default());
        let ask = || help(program, command);
        self.0.entry(key).or_insert_with(ask).clone()
    }

    /// What of a line does not exist.
    fn faults(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut faults = missing_files(&words);
        match words.as_slice() {
            ["make", targets @ ..] => {
                let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
                let is_target = |word: &str| makefile.contains(&format!("\n{word}:"));
                let of_make =
                    |word: &&&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
                let targets = targets
                    .iter()
                    .take_while(|word| **word != "#")
                    .filter(of_make);
                faults.extend(
                    targets
                        .filter(|target| !is_target(target))
                        .map(|target| format!("make has no target {target}")),
                );
                let filters = words.iter().filter_map(|word| word.strip_prefix("T="));
                let unmet = filters.filter(|name| !is_variable(name) && !names_a_test(name));
                faults.extend(unmet.map(|name| format!("no test has {name} in its name")));
            }
            [program, rest @ ..] if PROGRAMS.contains(program) => {
                faults.extend(self.unknown(program, rest));
            }
            ["systemctl", .., unit] if unit.starts_with("cni-") => {
                let path = format!("packaging/systemd/{unit}");
                let is_there = ["", ".service"]
                    .iter()
                    .any(|end| root().join(format!("{path}{end}")).exists());
                faults.extend((!is_there).then(|| format!("there is no {path}")));
            }
            _ => {}
        }
        faults
    }

    /// A word that is no command of the program, or an option that the command has not.
    fn unknown(&mut self, program: &str, rest: &[&str]) -> Option<String> {
        let overview = self.help(program, None);
        let (command, options) = match rest.split_first() {
            Some((first, options)) if !first.starts_with('-') => (Some(*first), options),
            _ => (None, rest),
        };
        if command.is_some_and(|name| !commands(&overview).contains(name) && !is_variable(name)) {
            return Some(format!("{program} has no command {}", command?));
        }
        let help = self.help(program, command.filter(|name| !is_variable(name)));
        let words = options.iter().filter(|word| word.starts_with("--"));
        let mut names = words.map(|word| word.split(['=', '[']).next().unwrap_or(word));
        let unknown = names.find(|name| !has_option(&help, name))?;
        Some(format!(
            "{program} {} has no {unknown}",
            command.unwrap_or_default()
        ))
    }
}

/// Whether `make one T=NAME` runs anything: a test, or a module of tests.
fn names_a_test(name: &str) -> bool {
    let mut sources = Vec::new();
    read_all(&root().join("tests/namespaces"), &mut sources);
    sources.iter().any(|(path, text)| {
        let functions = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("fn "));
        let names = functions.filter_map(|rest| rest.split('(').next());
        Path::new(path).file_stem().is_some_and(|stem| stem == name)
            || names.into_iter().any(|one| one.contains(name))
    })
}

/// `COMMAND`, `VERB`: whatever one puts there.
fn is_variable(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') || word == "…"
}

fn has_option(help: &str, option: &str) -> bool {
    ["--help", "--version", "--"].contains(&option) || options(help).contains(option)
}

/// What `--help` says.
pub fn help(program: &str, command: Option<&str>) -> String {
    let output = Command::new(binary(program))
        .args(command)
        .arg("--help")
        .env_remove("CNI_COMMAND")
        .output()
        .unwrap();
    let line = format!("{program} {} --help", command.unwrap_or_default());
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a program's help lists: lines of two blanks, a word, and what it does.
pub fn commands(help: &str) -> BTreeSet<String> {
    let lines = help
        .lines()
        .take_while(|line| !line.starts_with("Options:"));
    let listed = lines.filter_map(|line| line.strip_prefix("  "));
    let words = listed.filter_map(|line| line.split_once("  ").map(|(word, _)| word));
    let names = words.filter(|word| !word.is_empty() && !word.contains(' '));
    names.map(str::to_owned).collect()
}

/// The long options that a command's help lists.
pub fn options(help: &str) -> BTreeSet<String> {
    let listed = help.lines().filter_map(|line| {
        let line = line.strip_prefix("  ")?.trim_start();
        let line = match line.strip_prefix('-') {
            Some(short) if !short.starts_with('-') => line.split_once(", ")?.1,
            _ => line,
        };
        let word = line.split([' ', '=', '[']).next()?;
        word.strip_prefix("--").map(|_| word.to_owned())
    });
    listed.collect()
}

/// Paths of the project that are not there. `…`, `*` and the like stand for something.
fn missing_files(words: &[&str]) -> Vec<String> {
    let places = ["packaging/", "docs/", "tests/", "testdata/", "common/"];
    let words = words
        .iter()
        .map(|word| word.trim_matches(['(', ')', ',', ';']));
    let paths = words.filter(|word| places.iter().any(|place| word.starts_with(place)));
    let plain = paths.filter(|path| !path.contains(['*', '{', '<', '…', '$']));
    let missing = plain.filter(|path| !root().join(path).exists());
    missing.map(|path| format!("there is no {path}")).collect()
}
