//! Finding the binary of a plugin, and running it.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::runner::answer::Answer;
use crate::runner::error::PluginError;
use crate::runner::request::Request;
use crate::runner::{Error, Result};
use crate::veth;

/// A binary that is being replaced cannot be executed (`ETXTBSY`): how often to try again, and after what time.
const BUSY_RETRIES: usize = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// A program, and the name it is called by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The file to execute.
    pub path: PathBuf,
    /// `argv[0]` where it differs from the path.
    pub called: Option<&'static str>,
}

/// The first regular file of that name in the directories, as libcni looks for it.
///
/// If there is none and `builtin` names the runner's own binary, that is the plugin `veth`.
pub fn find(plugin: &str, directories: &[PathBuf], builtin: Option<&Path>) -> Result<Program> {
    let mut paths = directories.iter().map(|directory| directory.join(plugin));
    if let Some(path) = paths.find(|path| path.is_file()) {
        return Ok(Program { path, called: None });
    }
    match builtin {
        Some(path) if plugin == veth::NAME => Ok(Program {
            path: path.to_owned(),
            called: Some(veth::NAME),
        }),
        _ => Err(Error::Own(not_found(plugin, directories))),
    }
}

fn not_found(plugin: &str, directories: &[PathBuf]) -> String {
    let searched: Vec<String> = directories
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    let searched = match searched.is_empty() {
        true => "nothing, the plugin path is empty (--path or CNI_PATH)".to_owned(),
        false => searched.join(", "),
    };
    format!("plugin {plugin} not found: searched {searched}")
}

/// Runs the plugin to its end. An error here means that it could not be run at all.
pub fn run(program: &Program, request: &Request) -> Result<Answer> {
    let cannot = |problem: String| {
        Error::Plugin(Box::new(PluginError {
            plugin: request.plugin.clone(),
            verb: request.verb.name(),
            msg: problem,
            ..PluginError::default()
        }))
    };
    let path = program.path.display();
    let mut child = spawn(program, request)
        .map_err(|error| cannot(format!("cannot execute {path}: {error}")))?;
    let talk = talk(&mut child, &request.stdin);
    let ended = child.wait();
    let ended = talk.and_then(|(stdout, stderr)| Ok((ended?, stdout, stderr)));
    let (status, stdout, stderr) =
        ended.map_err(|error| cannot(format!("cannot communicate with {path}: {error}")))?;
    Ok(Answer {
        success: status.success(),
        status: status.to_string(),
        stdout,
        stderr,
    })
}

/// Feeds a plugin and reads what it prints on stdout and stderr; kills it where that fails. Not all at once by
/// poll(2), whose failure makes Rust's library panic.
fn talk(child: &mut Child, input: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // A plugin may answer before it has read everything, and pipes have an end. One that does not read at
        // all is not a failure, hence no look at the outcome.
        let feed = move || stdin.map(|mut pipe| pipe.write_all(input));
        let fed = thread::Builder::new().spawn_scoped(scope, feed);
        let said = fed.and_then(|_| thread::Builder::new().spawn_scoped(scope, || drained(stderr)));
        let printed = match &said {
            Ok(_) => drained(stdout),
            Err(_) => Ok(Vec::new()),
        };
        if said.is_err() || printed.is_err() {
            let _ = child.kill();
        }
        let said = said?.join();
        let lost = |_| Err(io::Error::other("a thread ended unexpectedly"));
        Ok((printed?, said.unwrap_or_else(lost)?))
    })
}

fn drained(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn spawn(program: &Program, request: &Request) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    if let Some(name) = program.called {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    command.envs(request.env.iter().map(|(key, value)| (key, value)));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for _ in 0..BUSY_RETRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(BUSY_PAUSE)
            }
            spawned => return spawned,
        }
    }
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_plugin_lists_the_directories_searched() {
        assert_eq!(
            not_found("bridge", &["/opt/cni/bin".into(), "/usr/lib/cni".into()]),
            "plugin bridge not found: searched /opt/cni/bin, /usr/lib/cni"
        );
    }
}
