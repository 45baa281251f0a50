//! A daemon of a machine: its log, its process number, its end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Child;
use std::thread;
use std::time::Duration;

use sandbox::wait_until;

use crate::Machine;

/// The longest that a daemon's start or end may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running daemon. What is left of it ends with the machine.
#[derive(Debug)]
pub struct Daemon<'machine> {
    machine: &'machine Machine,
    name: String,
    /// `nsenter`, which waits for the daemon and reaps it.
    process: Child,
}

impl<'machine> Daemon<'machine> {
    /// Starts a daemon with a command of the shell, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before, or is not ready in time; then with its log.
    pub fn start(
        machine: &'machine Machine,
        name: &str,
        command: &str,
        is_ready: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(machine.path(&log_of(name)))?;
        let start = format!("echo $$ >/run/{name}.pid; exec {command}");
        let mut process = machine
            .command(&["sh", "-c", &start])
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut ended = false;
        wait_until(PATIENCE, || {
            ended = process.try_wait().is_ok_and(|status| status.is_some());
            ended || is_ready()
        });
        let daemon = Self {
            machine,
            name: name.to_owned(),
            process,
        };
        if !ended && is_ready() {
            return Ok(daemon);
        }
        Err(io::Error::other(format!("start {name}: {}", daemon.log())))
    }

    /// Ends it with a signal (`TERM`, `KILL`), and waits until it has ended.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn end(&mut self, signal: &str) -> io::Result<()> {
        let line = format!("kill -{signal} $(cat /run/{}.pid)", self.name);
        self.machine.sh(&["sh", "-c", &line])?;
        self.process.wait().map(drop)
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.machine.path(&log_of(&self.name))).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            // What cannot be ended now ends with the machine.
            let _ = self.end("KILL");
        }
        if thread::panicking() {
            let _ = writeln!(io::stderr(), "{}'s log:\n{}", self.name, self.log());
        }
    }
}

fn log_of(name: &str) -> String {
    format!("/run/{name}.log")
}
