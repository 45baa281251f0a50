//! A node of its own, and a shell on it: network and mounts are its alone, and what a document's
//! commands write goes with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::plugin::directory;

use super::markdown::{Node, root};
use super::output::difference;

/// Seconds that a node has for all of its commands.
const PATIENCE: &str = "300";
/// Between what the commands print.
const MARK: &str = "\u{1e}step";

/// A command, and what it is to do.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands, for people.
    pub place: String,
    pub command: String,
    pub expected: Expected,
}

#[derive(Debug, Clone)]
pub enum Expected {
    /// It succeeds.
    Success,
    /// It prints these lines.
    Output(Vec<String>),
    /// It fails and says this.
    Refusal(String),
}

/// What a command did.
#[derive(Debug)]
struct Done {
    output: String,
    code: String,
}

/// Runs the steps one after another in one shell on a fresh node, and gives what went otherwise than
/// expected.
pub fn run(steps: &[Step], node: Node) -> Vec<String> {
    let directory = Directory::new();
    let script = script(steps, &directory.0, node);
    let mut command = Command::new("timeout");
    let outcome = command
        .arg(PATIENCE)
        .args(["unshare", "--net", "--mount", "--propagation", "private"])
        .args(["bash", "-c", &script])
        .current_dir(&directory.0)
        .env_clear()
        .envs([
            ("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LC_ALL", "C.UTF-8"),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&outcome.stdout);
    let mut done = printed.split(MARK);
    let prologue = done.next().unwrap_or_default();
    let all: Vec<Done> = done.filter_map(Done::read).collect();
    let mut faults: Vec<String> = steps
        .iter()
        .zip(&all)
        .filter_map(|(step, done)| step.fault(done))
        .collect();
    if all.len() < steps.len() {
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        let next = &steps[all.len()];
        faults.push(format!(
            "{}: the shell ended ({}) at `{}`: {prologue}{stderr}",
            next.place, outcome.status, next.command
        ));
    }
    faults
}

impl Done {
    /// Reads what stands behind a mark: the exit code, then, up to the next mark, what was printed.
    fn read(text: &str) -> Option<Done> {
        let (output, code) = text.rsplit_once("\u{1e}code ")?;
        Some(Done {
            output: output.strip_suffix('\n').unwrap_or(output).to_owned(),
            code: code.trim().to_owned(),
        })
    }
}

impl Step {
    fn fault(&self, done: &Done) -> Option<String> {
        let Step {
            place,
            command,
            expected,
        } = self;
        let Done { output, code } = done;
        let why = match expected {
            Expected::Success if code == "0" => return None,
            Expected::Success => format!("failed with {code}:\n{output}"),
            Expected::Output(shown) => difference(shown, output)?,
            Expected::Refusal(word) if code != "0" && output.contains(word.as_str()) => {
                return None;
            }
            Expected::Refusal(word) => {
                format!("should be refused with {word:?}, but gave {code}:\n{output}")
            }
        };
        Some(format!("{place}: `{command}`: {why}"))
    }
}

/// A temporary directory, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("docs-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn script(steps: &[Step], directory: &Path, node: Node) -> String {
    let kind = match node {
        Node::Ours => "ours",
        Node::Reference => "reference",
        Node::Bare => "bare",
    };
    let (root, binaries) = (root(), super::session::directory());
    let quoted = |path: &Path| quote(&path.display().to_string());
    let mut script = format!(
        "dir={} root={} binaries={} version={} kind={kind} last=0\n{}",
        quoted(directory),
        quoted(&root),
        quoted(&binaries),
        env!("CARGO_PKG_VERSION"),
        include_str!("node.sh"),
    );
    for Step { command, .. } in steps {
        let command = quote(command);
        script.push_str(&format!(
            "printf %s '{MARK}'\n(exit $last)\neval {command}\nlast=$?\nprintf '\\n\\036code %s\\n' $last\n"
        ));
    }
    script
}

/// A word for the shell.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
