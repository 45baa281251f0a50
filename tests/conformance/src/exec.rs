//! Runs a prepared command with input and a time limit.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use sandbox::plugin::Answer;

use crate::failure::{Failure, fail};

/// A plugin that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

static DIRECTORY: OnceLock<std::path::PathBuf> = OnceLock::new();

/// Makes the directories in which `iptables` is one of the two variants.
pub fn prepare_paths(base: &std::path::Path) -> Result<(), Failure> {
    for variant in ["nft", "legacy"] {
        let directory = base.join(variant);
        std::fs::create_dir_all(&directory)?;
        for tool in ["iptables", "ip6tables"] {
            for part in ["", "-save", "-restore"] {
                let link = directory.join(format!("{tool}{part}"));
                let target = format!("/usr/sbin/{tool}-{variant}{part}");
                if !std::path::Path::new(&target).exists() {
                    return fail(format!("{target} is missing: install iptables"));
                }
                std::os::unix::fs::symlink(&target, &link)?;
            }
        }
    }
    let _ = DIRECTORY.set(base.to_owned());
    Ok(())
}

/// A `PATH` in which `iptables` is this variant.
pub fn path(variant: &str) -> String {
    let base = DIRECTORY.get().cloned().unwrap_or_default();
    format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        base.join(variant).display()
    )
}

/// Runs it to its end.
pub fn run(mut command: Command, stdin: Vec<u8>) -> Result<Answer, Failure> {
    let started = Instant::now();
    let program = format!("{}", command.get_program().display());
    let mut child = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| Failure(format!("start {program} (is CNI_BIN right?): {e}")))?;
    let group = Pid::from_raw(child.id().cast_signed());
    let pipe = child.stdin.take();
    // A thread of its own: a plugin may answer, or end, before it has read everything.
    let feeder = thread::spawn(move || {
        if let Some(mut pipe) = pipe {
            let _ = pipe.write_all(&stdin);
        }
    });
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(move || read(out));
    let err = thread::spawn(move || read(err));
    // Not reaped yet: until then nobody else can have its number, and its group can be ended safely.
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let ended = sandbox::wait_until(LIMIT, || {
        !matches!(waitid(Id::Pid(group), look), Ok(WaitStatus::StillAlive))
    });
    // What a prepared command left running in the background (who holds a lock) goes with it.
    let _ = killpg(group, Signal::SIGKILL);
    if !ended {
        let _ = child.wait();
        return fail(format!("hangs: killed after {} s", LIMIT.as_secs()));
    }
    let status = child.wait()?;
    let _ = feeder.join();
    Ok(Answer {
        code: status.code(),
        stdout: out.join().unwrap_or_default(),
        stderr: err.join().unwrap_or_default(),
        duration: started.elapsed(),
    })
}

fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
