//! The same without root: a user namespace in which we are root.
//!
//! A process can enter a user namespace only while it has one thread (`user_namespaces(7)`), and libtest
//! has several before the first test runs. So tests are started in one, by cargo's runner:
//!
//! ```sh
//! CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$PWD/tests/sandbox/as-root" cargo test
//! ```
//!
//! For root the script `as-root` changes nothing. Programs with a `main` of their own call
//! [`enter_unless_root`] first in it.
//!
//! Inside, `/run` is an empty tmpfs: iptables keeps its lock there, plugins their state.

use std::fs;
use std::io;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

/// Enters a user namespace as its root, with a mount and a network namespace of its own, unless the
/// process is root already. To be called first in `main`, before there is a second thread.
///
/// # Errors
/// When there is a second thread, or the machine forbids user namespaces
/// (`kernel.unprivileged_userns_clone`, `kernel.apparmor_restrict_unprivileged_userns`).
pub fn enter_unless_root() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return Ok(());
    }
    let tried = |what: &str, e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    unshare(flags).map_err(|e| tried("enter a user namespace (or run as root)", e.into()))?;
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ];
    for (file, text) in maps {
        let path = format!("/proc/self/{file}");
        fs::write(&path, &text).map_err(|e| tried(&format!("write {text:?} to {path}"), e))?;
    }
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)
        .map_err(|e| tried("mount a tmpfs on /run", e.into()))
}
