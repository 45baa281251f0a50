//! One execution of a plugin, timed from before its start until it is reaped.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde_json::{Value, json};

/// The address of the first container of the picture.
pub const ADDRESS: &str = "10.22.0.2/16";

/// What the main plugin before ours answered: a veth pair whose end in the container has an address.
pub fn prev_result(netns: &str, address: &str) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "interfaces": [
            {"name": "veth0"},
            {"name": "eth0", "mac": "02:00:00:00:00:0c", "sandbox": netns},
        ],
        "ips": [{"interface": 1, "address": address, "gateway": "10.22.0.1"}],
    })
}

/// A call of a plugin: nothing else is in its environment.
#[derive(Debug, Clone)]
pub struct Call {
    /// The plugin's file.
    pub program: PathBuf,
    /// Arguments; plugins take none.
    pub args: Vec<String>,
    /// `CNI_*` variables.
    pub env: Vec<(String, String)>,
    /// The configuration.
    pub stdin: String,
}

/// What one execution took.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Elapsed time.
    pub wall: Duration,
    /// User and system time, of the plugin and of what it executed.
    pub cpu: Duration,
}

impl Call {
    /// A verb for the container `cid-0001`, whose namespace has that path.
    pub fn cni(program: PathBuf, verb: &str, netns: &str, conf: &Value) -> Call {
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "cid-0001"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/opt/cni/bin"),
            ("CNI_NETNS", netns),
        ];
        Call {
            program,
            args: Vec::new(),
            env: env
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            stdin: conf.to_string(),
        }
    }

    /// Runs the plugin in the calling thread's namespace. The process must have no other children
    /// meanwhile, whose CPU time would count.
    ///
    /// # Errors
    /// When the plugin cannot be started or fails, with its answer.
    pub fn run(&self) -> io::Result<Sample> {
        let before = cpu()?;
        let start = Instant::now();
        let mut child = self.spawn()?;
        self.feed(&mut child)?;
        let output = child.wait_with_output()?;
        let wall = start.elapsed();
        let cpu = cpu()?.saturating_sub(before);
        match output.status.success() {
            true => Ok(Sample { wall, cpu }),
            false => Err(self.failed(&String::from_utf8_lossy(&output.stdout))),
        }
    }

    /// Starts the plugin, which then waits for its configuration.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| self.failed(&e.to_string()))
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// When that fails for another reason than that nobody reads.
    pub fn feed(&self, child: &mut Child) -> io::Result<()> {
        let Some(mut stdin) = child.stdin.take() else {
            return Ok(());
        };
        // A plugin may answer before it has read everything, as the reference's VERSION does.
        match stdin.write_all(self.stdin.as_bytes()) {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(cause),
            _ => Ok(()),
        }
    }

    /// The call, and why it failed.
    pub fn failed(&self, why: &str) -> io::Error {
        let program = self.program.display();
        let env = &self.env;
        io::Error::other(format!(
            "run {program} with {env:?} and {}: {why}",
            self.stdin
        ))
    }
}

/// User and system time of all children so far.
fn cpu() -> io::Result<Duration> {
    let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let times = [usage.user_time(), usage.system_time()];
    Ok(times
        .iter()
        .map(|time| {
            let microseconds = time.tv_sec() * 1_000_000 + time.tv_usec();
            Duration::from_micros(microseconds.unsigned_abs())
        })
        .sum())
}
