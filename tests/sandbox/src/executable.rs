//! Programs that a test writes and that are executed then.
//!
//! A child process writes them. A descriptor that the test itself had open for writing would be inherited by
//! what another thread forks meanwhile, and until that has executed its own program the kernel refuses to execute
//! this one (`ETXTBSY`).

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Writes a script, its first line included, that everybody may execute. What is there, also a link, is replaced.
///
/// # Errors
/// When it cannot be written.
pub fn script(path: &Path, text: &str) -> io::Result<()> {
    let write = r#"rm -f "$1" && cat >"$1" && chmod 755 "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", write, "sh"]).arg(path);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(text.as_bytes())?;
    }
    ended(child, path)
}

/// Copies a program with its mode. What is there, also a link, is replaced.
///
/// # Errors
/// When it cannot be copied.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut command = Command::new("cp");
    command.arg("--remove-destination").arg(from).arg(to);
    ended(command.spawn()?, to)
}

fn ended(mut child: Child, path: &Path) -> io::Result<()> {
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    let path = path.display();
    Err(io::Error::other(format!("write {path}: {status}")))
}
