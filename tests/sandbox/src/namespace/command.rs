//! Commands that start inside a namespace.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

pub(super) fn inside(namespace: &Arc<File>, program: &OsStr) -> Command {
    before_exec(namespace, program, |file| {
        Ok(setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?)
    })
}

pub(super) fn inside_with_sys(namespace: &Arc<File>, program: &OsStr) -> Command {
    before_exec(namespace, program, |file| {
        let none: Option<&str> = None;
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        Ok(mount(
            Some("sysfs"),
            "/sys",
            Some("sysfs"),
            MsFlags::empty(),
            none,
        )?)
    })
}

pub(super) fn inside_with_run(namespace: &Arc<File>, program: &OsStr, run: &Path) -> Command {
    let run = run.to_owned();
    before_exec(namespace, program, move |file| {
        let none: Option<&str> = None;
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        Ok(mount(Some(&run), "/run", none, MsFlags::MS_BIND, none)?)
    })
}

fn before_exec(
    namespace: &Arc<File>,
    program: &OsStr,
    step: impl Fn(&File) -> io::Result<()> + Send + Sync + 'static,
) -> Command {
    let namespace = Arc::clone(namespace);
    let mut command = Command::new(program);
    #[allow(unsafe_code)]
    // SAFETY: after fork `step` only makes system calls (setns, unshare, mount with short paths, which nix
    // copies to the stack): no allocation, no lock.
    unsafe {
        command.pre_exec(move || step(&namespace));
    }
    command
}

/// Runs `command` without stdin and returns what it printed; its failure is an error with its stderr.
pub(crate) fn output(command: &mut Command) -> io::Result<String> {
    let line = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| io::Error::new(e.kind(), format!("start {line}: {e} (is it installed?)")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{line}: {}: {}",
        output.status,
        stderr.trim()
    )))
}
