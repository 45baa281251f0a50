//! A network namespace that lives as long as its value.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::link;

mod bound;
mod command;

pub use bound::Bound;

/// A fresh network namespace with loopback up. Dropping the last descriptor ends it, links and all.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Keeps the namespace alive; shared with commands that have yet to enter it.
    file: Arc<File>,
}

impl Namespace {
    /// Makes a namespace. The calling thread stays where it is.
    ///
    /// # Errors
    /// Without the right to (see [`crate::userns`]), or when loopback cannot be set up.
    pub fn new() -> io::Result<Self> {
        let file = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|e| {
                io::Error::other(format!(
                    "make a network namespace (root, or a user namespace, is needed): {e}"
                ))
            })?;
            let file = File::open("/proc/thread-self/ns/net")?;
            link::netlink_here(async |handle| link::set_up(&handle, "lo").await)?;
            Ok::<_, io::Error>(file)
        })?;
        Ok(Self {
            file: Arc::new(file),
        })
    }

    /// A namespace that somebody else made, by its path. It lives as long as this value, at least.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(File::open(path)?);
        Ok(Self { file })
    }

    /// A path that this process and its children can open as the namespace (`CNI_NETNS`), as long as
    /// this value lives: the descriptor's entry in this process's `/proc/<pid>/fd`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.file.as_raw_fd()
        ))
    }

    /// Mounts the namespace on `file`, which is created, for runtimes that want a real path.
    /// The namespace then lives as long as the mount. Dropping the value undoes both.
    ///
    /// # Errors
    /// When the file cannot be created or the mount is refused.
    pub fn bind(&self, file: impl Into<PathBuf>) -> io::Result<Bound> {
        Bound::new(self, file.into())
    }

    /// Runs `work` on a thread inside the namespace and returns its value. A panic in it goes on here.
    ///
    /// # Panics
    /// When `work` does, or when the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            self.enter();
            work()
        })
    }

    /// Moves the calling thread into the namespace, for the probes' threads.
    #[expect(
        clippy::panic,
        reason = "a namespace we hold open can be entered, or the test machine is broken"
    )]
    pub(crate) fn enter(&self) {
        if let Err(e) = setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET) {
            panic!("enter the network namespace {}: {e}", self.path().display());
        }
    }

    /// A command that will be started inside the namespace. It sees the machine's `/sys`;
    /// [`Namespace::command_with_sys`] is for programs that read `/sys/class/net`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        command::inside(&self.file, program.as_ref())
    }

    /// Like [`Namespace::command`], in a mount namespace of its own with this namespace's `/sys`.
    #[must_use]
    pub fn command_with_sys(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        command::inside_with_sys(&self.file, program.as_ref())
    }

    /// Like [`Namespace::command`], in a mount namespace of its own with a directory in the place of `/run`.
    #[must_use]
    pub fn command_with_run(&self, program: impl AsRef<std::ffi::OsStr>, run: &Path) -> Command {
        command::inside_with_run(&self.file, program.as_ref(), run)
    }

    /// Runs a command line (`ns.sh(["ip", "link"])`) inside and returns its standard output.
    ///
    /// # Panics
    /// When the program cannot be started or fails, with what it wrote to stderr.
    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a test that cannot prepare its namespace has failed"
    )]
    pub fn sh<const N: usize>(&self, line: [&str; N]) -> String {
        match self.try_sh(&line) {
            Ok(stdout) => stdout,
            Err(e) => panic!("{e}"),
        }
    }

    /// Runs a command line inside and returns its standard output.
    ///
    /// # Errors
    /// When the program is missing or fails; the error holds its stderr.
    pub fn try_sh(&self, line: &[&str]) -> io::Result<String> {
        let (program, args) = line
            .split_first()
            .ok_or_else(|| io::Error::other("an empty command line"))?;
        command::output(self.command(program).args(args))
    }

    /// Reads a sysctl of this namespace, without the newline. A key with a slash in it is taken as a
    /// path below `/proc/sys`, so that `net/ipv4/conf/eth0.100/mtu` is possible.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn sysctl(&self, key: &str) -> io::Result<String> {
        let path = sysctl_path(key);
        // In one read: most sysctls give nothing behind what fits into the first.
        let read = || {
            let mut bytes = vec![0; 1 << 20];
            let length = File::open(&path)?.read(&mut bytes)?;
            bytes.truncate(length);
            String::from_utf8(bytes).map_err(io::Error::other)
        };
        self.run(read)
            .map(|value| value.trim_end_matches('\n').to_owned())
            .map_err(|e| io::Error::new(e.kind(), format!("read sysctl {key}: {e}")))
    }

    /// Writes a sysctl of this namespace.
    ///
    /// # Errors
    /// When there is no such key or the kernel refuses the value.
    pub fn set_sysctl(&self, key: &str, value: &str) -> io::Result<()> {
        let path = sysctl_path(key);
        self.run(|| fs::write(&path, value))
            .map_err(|e| io::Error::new(e.kind(), format!("write sysctl {key}={value}: {e}")))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// `/proc/sys/net` follows the namespace of the thread that looks (`proc_sysctl.c`), so a plain path does.
fn sysctl_path(key: &str) -> PathBuf {
    let key = if key.contains('/') {
        key.to_owned()
    } else {
        key.replace('.', "/")
    };
    Path::new("/proc/sys").join(key)
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    })
}
