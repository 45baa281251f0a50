//! Network namespaces: opened by path, entered for one closure.
//!
//! A thread of its own enters each, and ends there: nobody has to find the way back.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use super::regular;
use crate::error::{Code, Context, Error};

/// `_IO(0xb7, 0x3)`: the kind of an open namespace (include/uapi/linux/nsfs.h).
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
/// The calling thread's own namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// An open network namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
}

/// Why a namespace could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Nothing is there any longer: for DEL, nothing is left to do.
    Gone(Error),
    /// Something that is not a namespace is there.
    Foreign(Error),
    /// It cannot be found out, or not be used.
    Unusable(Error),
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Error {
        match error {
            OpenError::Gone(error) | OpenError::Foreign(error) | OpenError::Unusable(error) => {
                error
            }
        }
    }
}

impl Netns {
    /// Opens the namespace at `path`.
    ///
    /// # Errors
    /// Code 8, telling a namespace that is gone from one that is unusable: a path that does not
    /// exist, or one that a runtime left behind after unmounting the namespace, is gone.
    pub fn open(path: &Path) -> Result<Netns, OpenError> {
        let tried = || format!("open network namespace {}", path.display());
        // Only a namespace is opened: a pipe would make us wait, a device might do something.
        let entry = match regular::entry(path) {
            Ok(entry) => entry,
            Err(cause) => {
                let error = Error::new(Code::InvalidNetns, tried()).with_details(&cause);
                return Err(match cause.raw_os_error().map(nix::Error::from_raw) {
                    Some(
                        nix::Error::ENOENT
                        | nix::Error::ENOTDIR
                        | nix::Error::ESRCH
                        | nix::Error::ENAMETOOLONG,
                    ) => OpenError::Gone(error),
                    _ => OpenError::Unusable(error),
                });
            }
        };
        let unknown = |cause: &dyn std::fmt::Display| {
            OpenError::Unusable(Error::new(Code::InvalidNetns, tried()).with_details(cause))
        };
        let kind = fstatfs(&entry).map_err(|errno| unknown(&errno.desc()))?;
        let foreign = |what| Error::new(Code::InvalidNetns, tried()).with_details(what);
        if kind.filesystem_type() == NSFS_MAGIC {
            let file = regular::reopen(&entry, OFlag::O_RDONLY).map_err(|cause| unknown(&cause))?;
            let path = path.to_owned();
            return match is_of_networks(&file).map_err(|errno| unknown(&errno.desc()))? {
                true => Ok(Netns { file, path }),
                false => {
                    let what = "it is a namespace, but not a network namespace";
                    Err(OpenError::Foreign(foreign(what)))
                }
            };
        }
        let error = foreign("it is not a network namespace");
        // `ip netns del` and runtimes unmount first and remove the empty file after.
        match entry.metadata().map_err(|cause| unknown(&cause))? {
            meta if meta.is_file() && meta.len() == 0 => Err(OpenError::Gone(error)),
            _ => Err(OpenError::Foreign(error)),
        }
    }

    /// Opens the namespace at `path`; `None` when nothing can be in it any longer: it is gone, or something
    /// that is not a network namespace is in its place.
    ///
    /// # Errors
    /// Code 8 when that cannot be found out.
    pub fn open_if_there(path: &Path) -> Result<Option<Netns>, Error> {
        match Netns::open(path) {
            Ok(netns) => Ok(Some(netns)),
            Err(OpenError::Gone(_) | OpenError::Foreign(_)) => Ok(None),
            Err(OpenError::Unusable(error)) => Err(error),
        }
    }

    /// The calling thread's own namespace.
    ///
    /// # Errors
    /// Code 8 when it cannot be opened.
    pub fn own() -> Result<Netns, Error> {
        Ok(Netns::open(Path::new(OWN))?)
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open namespace's file descriptor, for netlink attributes that want one.
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Runs `action` inside the namespace, in a thread of its own.
    ///
    /// # Errors
    /// Code 8 when it cannot be entered (permission is missing), code 11 without a thread, else what
    /// `action` gives.
    pub fn run<T: Send>(
        &self,
        action: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let tried = || format!("enter network namespace {}", self.path.display());
        in_a_thread(tried, || {
            setns(&self.file, CloneFlags::CLONE_NEWNET).context(Code::InvalidNetns, tried)?;
            action()
        })
    }
}

/// Whether an open namespace is a network namespace. Kernels before 4.11 do not say; their setns(2)
/// refuses any other kind.
#[allow(unsafe_code)]
fn is_of_networks(namespace: &File) -> Result<bool, Errno> {
    // SAFETY: `namespace` is open, and NS_GET_NSTYPE (ioctl_ns(2)) has no argument.
    let kind = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) };
    match Errno::result(kind) {
        Err(Errno::ENOTTY) => Ok(true),
        kind => Ok(kind? == libc::CLONE_NEWNET),
    }
}

/// Whether `path` is the calling thread's own namespace. What cannot be read is not.
pub fn is_own(path: &Path) -> bool {
    let id = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((id(path), id(Path::new(OWN))), (Ok(a), Ok(b)) if a == b)
}

/// Runs `action` in a new, empty namespace that is gone afterwards.
///
/// # Errors
/// Code 100 when the kernel gives no namespace, code 11 without a thread, else what `action` gives.
pub fn in_a_new_one<T: Send>(action: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let tried = || "create a temporary network namespace".to_owned();
    in_a_thread(tried, || {
        unshare(CloneFlags::CLONE_NEWNET).context(Code::System, tried)?;
        action()
    })
}

fn in_a_thread<T: Send>(
    tried: impl Fn() -> String,
    inside: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, inside);
        let thread = thread.context(Code::TryAgainLater, || {
            format!("{}: start a thread", tried())
        })?;
        let ended = |_| Err(Error::new(Code::System, tried()).with_details("the thread panicked"));
        thread.join().unwrap_or_else(ended)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_path_and_an_unmounted_one_are_gone_and_a_file_is_no_namespace() {
        let dir = std::env::temp_dir().join(format!("netns-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (missing, empty, text) = (dir.join("missing"), dir.join("empty"), dir.join("text"));
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&text, "x").unwrap();
        assert!(matches!(Netns::open(&missing), Err(OpenError::Gone(_))));
        assert!(matches!(Netns::open(&empty), Err(OpenError::Gone(_))));
        assert!(matches!(Netns::open(&text), Err(OpenError::Foreign(_))));
        assert!(matches!(Netns::open(&dir), Err(OpenError::Foreign(_))));
        for path in [&missing, &empty, &text, &dir] {
            assert!(matches!(Netns::open_if_there(path), Ok(None)), "{path:?}");
        }
        assert!(matches!(Netns::open_if_there(Path::new(OWN)), Ok(Some(_))));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_namespace_of_another_kind_is_not_one_of_networks() {
        let opened = Netns::open(Path::new("/proc/self/ns/mnt"));
        let Err(OpenError::Foreign(error)) = opened else {
            panic!("{opened:?}");
        };
        assert_eq!(error.code, Code::InvalidNetns);
        assert!(error.msg.ends_with("/proc/self/ns/mnt"), "{error}");
    }

    #[test]
    fn who_enters_a_namespace_leaves_its_caller_where_it_was() {
        let link = |path: &str| std::fs::read_link(path).unwrap();
        let (before, own) = (link(OWN), Netns::own().unwrap());
        let (inside, entered) = in_a_new_one(|| {
            let entered = own.run(|| Ok(link(OWN)))?;
            Ok((link(OWN), entered))
        })
        .unwrap();
        assert_ne!(inside, before);
        assert_eq!((entered, link(OWN)), (before.clone(), before));
    }

    #[test]
    fn its_own_namespace_is_recognised() {
        assert!(is_own(Path::new("/proc/self/ns/net")));
        assert!(!is_own(Path::new("/proc/self/ns/mnt")));
        assert!(!is_own(Path::new("/nowhere")));
    }
}
