//! Finding the binary of a plugin, and running it.

use std::io::{self, Write};
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
    for directory in directories {
        let path = directory.join(plugin);
        if path.is_file() {
            return Ok(Program { path, called: None });
        }
    }
    match builtin {
        Some(path) if plugin == veth::NAME => Ok(Program {
            path: path.to_owned(),
            called: Some(veth::NAME),
        }),
        _ => Err(Error::PluginNotFound {
            plugin: plugin.to_owned(),
            directories: directories.to_vec(),
        }),
    }
}

/// Runs the plugin to its end. An error here means that it could not be run at all.
pub fn run(program: &Program, request: &Request) -> Result<Answer> {
    let cannot = |problem: String| {
        Error::Plugin(Box::new(PluginError {
            plugin: request.plugin.clone(),
            verb: request.verb,
            code: None,
            msg: problem,
            details: String::new(),
            stderr: String::new(),
        }))
    };
    let path = program.path.display();
    let mut child = spawn(program, request)
        .map_err(|error| cannot(format!("cannot execute {path}: {error}")))?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        // Its own thread: a plugin may answer before it has read everything, and both pipes have an end.
        // A plugin that does not read at all is no failure, hence no look at the outcome.
        let feed = move || stdin.map(|mut pipe| pipe.write_all(&request.stdin));
        if let Err(error) = thread::Builder::new().spawn_scoped(scope, feed) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        child.wait_with_output()
    });
    let output =
        output.map_err(|error| cannot(format!("cannot communicate with {path}: {error}")))?;
    Ok(Answer {
        success: output.status.success(),
        status: output.status.to_string(),
        stdout: output.stdout,
        stderr: output.stderr,
    })
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
