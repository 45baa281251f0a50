//! Locks among processes of root's: regions of one file, and whole files of other programs.
//!
//! The locks are the kernel's, of the open file (`F_OFD_SETLK`): they end with the last process that
//! has it open, and waiters get them in the order in which they came.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::file::make_directory;

/// Mode bits that let others than the owner write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Between two looks at a lock that others hold.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether programs that are started while a lock is held hold it too, until they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// They do.
    Hold,
    /// It is this process's alone.
    DoNotHold,
}

/// Opens a file to lock in a directory that only root writes to; both are made where they are missing.
///
/// # Errors
/// What the system refused; `PermissionDenied` for a directory that is not root's alone, and for
/// anything but a regular file.
pub fn open(directory: &Path, name: &str, children: Children) -> io::Result<File> {
    let refused = |what| io::Error::new(io::ErrorKind::PermissionDenied, what);
    make_directory(directory).map_err(io::Error::other)?;
    let meta = fs::symlink_metadata(directory)?;
    if !meta.is_dir() || meta.uid() != 0 || meta.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(refused("users other than root can access the directory"));
    }
    let file = open_file(&directory.join(name))?;
    if !file.metadata()?.is_file() {
        return Err(refused("this is not a regular file"));
    }
    if children == Children::Hold {
        fcntl(&file, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
    }
    Ok(file)
}

/// Never waits, whatever is there.
fn open_file(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Locks the region of a file that a number selects, as long as the file is open somewhere. Says
/// whether it did; when others hold it for all of `patience`, and `goes_on` does not say to wait as long
/// again, it did not.
///
/// # Errors
/// What the system refused.
pub fn region(
    file: &File,
    number: u64,
    patience: Duration,
    mut goes_on: impl FnMut() -> bool,
) -> io::Result<bool> {
    let region = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::try_from(number >> 2).unwrap_or(libc::off_t::MAX - 1),
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&region)) {
        Ok(_) => return Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => {}
        Err(errno) => return Err(errno.into()),
    }
    // The kernel serves waiters in order, but has no bounded wait: a thread waits. If it gets the lock too
    // late, it closes its file, and with it the lock.
    let (done, outcome) = mpsc::channel();
    let file = file.try_clone()?;
    thread::Builder::new().spawn(move || {
        let locked = fcntl(&file, FcntlArg::F_OFD_SETLKW(&region));
        let _ = done.send(locked);
    })?;
    loop {
        match outcome.recv_timeout(patience) {
            Ok(locked) => return Ok(locked.map(|_| true)?),
            Err(RecvTimeoutError::Timeout) if goes_on() => {}
            Err(_) => return Ok(false),
        }
    }
}

/// Opens and locks a whole file as `flock` does, as long as the result lives. `None` when others hold it
/// for all of `patience`.
///
/// # Errors
/// What the system refused.
pub fn whole(path: &Path, patience: Duration) -> io::Result<Option<File>> {
    let file = open_file(path)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) if start.elapsed() < patience => thread::sleep(PAUSE),
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(cause)) => return Err(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const NOT_LONG: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    fn lock(directory: &Path, number: u64, patience: Duration) -> Option<File> {
        let file = open(directory, "lock", Children::Hold).unwrap();
        region(&file, number, patience, || false)
            .unwrap()
            .then_some(file)
    }

    #[test]
    fn a_region_has_one_holder_and_the_next_waits_for_it() {
        let scratch = Scratch::new("lock-region");
        let directory = scratch.0.join("a/b");
        let first = lock(&directory, u64::MAX, NOT_LONG).unwrap();
        assert!(lock(&directory, u64::MAX, NOT_LONG).is_none());
        assert!(lock(&directory, 4, NOT_LONG).is_some());
        let waiting = thread::spawn(move || lock(&directory, u64::MAX, LONG));
        drop(first);
        assert!(waiting.join().unwrap().is_some());
    }

    #[test]
    fn who_waits_goes_on_as_long_as_it_is_told_to() {
        let scratch = Scratch::new("lock-while");
        let file = || open(&scratch.0, "lock", Children::DoNotHold).unwrap();
        let first = file();
        assert!(region(&first, 0, LONG, || false).unwrap());
        let mut first = Some(first);
        let mut asked = 0;
        let goes_on = || {
            asked += 1;
            // The lock is released while it waits for the third time.
            (asked == 3).then(|| first.take());
            asked < 100
        };
        assert!(region(&file(), 0, NOT_LONG, goes_on).unwrap());
        assert!(asked >= 3);
        let held = file();
        assert!(region(&held, 4, LONG, || false).unwrap());
        let mut left = 2;
        let twice = || {
            left -= 1;
            left > 0
        };
        assert!(!region(&file(), 4, NOT_LONG, twice).unwrap());
    }

    #[test]
    fn programs_hold_a_lock_only_where_they_should() {
        let scratch = Scratch::new("lock-children");
        for children in [Children::Hold, Children::DoNotHold] {
            let file = open(&scratch.0, "lock", children).unwrap();
            assert!(region(&file, 0, NOT_LONG, || false).unwrap());
            let mut child = std::process::Command::new("sleep")
                .arg("60")
                .spawn()
                .unwrap();
            drop(file);
            let is_free = lock(&scratch.0, 0, NOT_LONG).is_some();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(is_free, children == Children::DoNotHold);
        }
    }

    #[test]
    fn what_others_can_write_to_or_lead_elsewhere_is_refused() {
        let scratch = Scratch::new("lock-refused");
        let directory = |name: &str| {
            let path = scratch.0.join(name);
            make_directory(&path).unwrap();
            path
        };
        let (open_to_all, links, own) = (directory("open"), directory("links"), directory("own"));
        fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(&own, links.join("directory")).unwrap();
        symlink("/dev/null", links.join("lock")).unwrap();
        nix::unistd::mkfifo(&own.join("lock"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&open_to_all, &links, &links.join("directory"), &own] {
            assert!(open(path, "lock", Children::Hold).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_whole_file_has_one_holder() {
        let scratch = Scratch::new("lock-whole");
        let path = scratch.0.join("lock");
        let first = whole(&path, NOT_LONG).unwrap();
        assert!(first.is_some() && whole(&path, NOT_LONG).unwrap().is_none());
        drop(first);
        assert!(whole(&path, LONG).unwrap().is_some());
    }
}
