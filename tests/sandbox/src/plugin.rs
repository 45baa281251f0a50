//! One execution of a CNI plugin, the way a runtime does it.

mod stale;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::namespace::Namespace;

/// The container ID of a call that sets none.
pub const CONTAINER_ID: &str = "cid-0001";

/// A call to be made: program, `CNI_*` environment, stdin. It sees nothing else of the caller's
/// environment but `PATH`.
#[derive(Debug, Clone)]
pub struct Call {
    program: PathBuf,
    runner: Vec<String>,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    run: Option<PathBuf>,
}

/// What a plugin answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, lossy where it is not UTF-8.
    pub stdout: String,
    /// Standard error, lossy where it is not UTF-8.
    pub stderr: String,
    /// From before the start until the end was seen.
    pub duration: Duration,
}

/// A plugin that runs; for tests that kill it. Killed and reaped by Drop.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    feeder: Option<JoinHandle<()>>,
    started: Instant,
}

/// Where our binary `name` is: in `$CNI_BIN`, else beside the running test's or example's profile directory
/// (`target/<triple>/debug`). The name of a file with a slash in it is taken as it is.
///
/// # Panics
/// When the binary is older than one of its sources: the test would judge yesterday's code.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    if name.contains('/') {
        return PathBuf::from(name);
    }
    let program = directory().join(name);
    let newer = stale::source_newer_than(&program);
    assert!(
        newer.is_none(),
        "{} is older than {}: cargo build --workspace --bins",
        program.display(),
        newer.unwrap_or_default().display()
    );
    program
}

/// The directory of our plugins: what `CNI_PATH` should be.
#[must_use]
pub fn directory() -> PathBuf {
    if let Some(directory) = env::var_os("CNI_BIN") {
        return PathBuf::from(directory);
    }
    let program = env::current_exe().unwrap_or_default();
    let own = program.parent().unwrap_or(Path::new("."));
    match own.file_name().and_then(|name| name.to_str()) {
        Some("deps" | "examples") => own.parent().unwrap_or(own).to_owned(),
        _ => own.to_owned(),
    }
}

impl Call {
    /// A call of the plugin `name` (or of a path) with `CNI_COMMAND`, and the usual values for the rest:
    /// container `cid-0001`, interface `eth0`, `CNI_PATH` our directory, no namespace, empty stdin.
    #[must_use]
    pub fn new(name: &str, verb: &str) -> Self {
        let path = directory().display().to_string();
        Self::bare(name)
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", CONTAINER_ID)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", &path)
    }

    /// A call without any `CNI_*` variable.
    #[must_use]
    pub fn bare(name: &str) -> Self {
        Self {
            program: binary(name),
            runner: Vec::new(),
            arguments: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            run: None,
        }
    }

    /// Sets a variable, in place of an earlier value.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self = self.without(key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.env.retain(|(name, _)| name != key);
        self
    }

    /// Sets `CNI_NETNS` to the path of a namespace, which must live on while the plugin runs.
    #[must_use]
    pub fn netns(self, namespace: &Namespace) -> Self {
        let path = namespace.path().display().to_string();
        self.env("CNI_NETNS", &path)
    }

    /// Sets what the plugin reads.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets the command line, for operators' commands.
    #[must_use]
    pub fn arguments(mut self, words: &[&str]) -> Self {
        self.arguments = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Gives it a `/run` of its own, where plugins keep state and locks: an existing directory.
    #[must_use]
    pub fn with_run(mut self, directory: &Path) -> Self {
        self.run = Some(directory.to_owned());
        self
    }

    /// Has another program run the plugin: `strace` with its options, say.
    #[must_use]
    pub fn under(mut self, runner: &[&str]) -> Self {
        self.runner = runner.iter().map(ToString::to_string).collect();
        self
    }

    /// Has strace change how a system call ends, `how` in the words of its option `inject`: `error=ENOMEM:when=3`.
    #[must_use]
    pub fn injected(self, call: &str, how: &str) -> Self {
        let [trace, inject] = [format!("trace={call}"), format!("inject={call}:{how}")];
        let quiet = ["strace", "-f", "-o", "/dev/null"];
        self.under(&[&quiet[..], &["-e", &trace, "-e", &inject]].concat())
    }

    /// Runs the plugin inside `host` and waits for its answer.
    ///
    /// # Errors
    /// When the program cannot be started, with its path.
    pub fn run(&self, host: &Namespace) -> io::Result<Answer> {
        self.spawn(host)?.wait()
    }

    /// Starts the plugin inside `host`.
    ///
    /// # Errors
    /// When the program cannot be started, with its path.
    pub fn spawn(&self, host: &Namespace) -> io::Result<Running> {
        let started = Instant::now();
        let mut child = self.command(host).spawn().map_err(|e| {
            let program = self.program.display();
            io::Error::new(
                e.kind(),
                format!("start {program} (build it first, or set CNI_BIN): {e}"),
            )
        })?;
        let (pipe, stdin) = (child.stdin.take(), self.stdin.clone());
        // A thread of its own: a plugin may answer, or end, before it has read everything.
        let feeder = thread::spawn(move || {
            if let Some(mut pipe) = pipe {
                let _ = pipe.write_all(&stdin);
            }
        });
        Ok(Running {
            child: Some(child),
            feeder: Some(feeder),
            started,
        })
    }

    /// The command as it will be started.
    #[must_use]
    pub fn command(&self, host: &Namespace) -> Command {
        let mut words = self.runner.iter().map(PathBuf::from).collect::<Vec<_>>();
        words.push(self.program.clone());
        let (program, arguments) = words.split_first().unwrap_or((&self.program, &[]));
        let mut command = match &self.run {
            Some(run) => host.command_with_run(program, run),
            None => host.command(program),
        };
        command
            .args(arguments)
            .args(&self.arguments)
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl Running {
    /// Its process ID.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends SIGKILL; [`Running::wait`] then reaps it.
    ///
    /// # Errors
    /// When the signal cannot be sent. That the plugin has already ended is no error.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.as_mut().map_or(Ok(()), Child::kill)
    }

    /// Waits for the end and takes the answer.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub fn wait(mut self) -> io::Result<Answer> {
        let child = self
            .child
            .take()
            .ok_or_else(|| io::Error::other("waited for already"))?;
        let output = child.wait_with_output()?;
        let duration = self.started.elapsed();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
        Ok(Answer {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            duration,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
