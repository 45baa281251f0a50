//! Network namespaces: opened by path, entered for one closure, left on every path.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use super::regular;
use crate::error::{Code, Context, Error};

/// The calling thread's own namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// `NS_GET_NSTYPE` of linux/nsfs.h
const TYPE: libc::c_ulong = 0xb703;

/// An open network namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
}

/// Why a namespace could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Nothing is there any more: for DEL, nothing is left to do.
    Gone(Error),
    /// Something that is no namespace is there.
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
            let file = regular::reopen(&entry, OFlag::O_RDONLY);
            let file = file.map_err(|cause| unknown(&cause))?;
            let path = path.to_owned();
            return match is_of_network(&file).map_err(|errno| unknown(&errno.desc()))? {
                true => Ok(Netns { file, path }),
                false => {
                    let what = "this is a namespace, but not a network namespace";
                    Err(OpenError::Foreign(foreign(what)))
                }
            };
        }
        let error = foreign("this is not a network namespace");
        // `ip netns del` and runtimes unmount first and remove the empty file after.
        match entry.metadata().map_err(|cause| unknown(&cause))? {
            meta if meta.is_file() && meta.len() == 0 => Err(OpenError::Gone(error)),
            _ => Err(OpenError::Foreign(error)),
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

    /// Runs `action` with the calling thread inside the namespace.
    ///
    /// # Errors
    /// Code 8 when it cannot be entered (it is no network namespace, or permission is missing), else
    /// what `action` gives.
    pub fn run<T>(&self, action: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let tried = || format!("enter network namespace {}", self.path.display());
        let home = File::open(OWN).context(Code::InvalidNetns, || format!("open {OWN}"))?;
        setns(&self.file, CloneFlags::CLONE_NEWNET).context(Code::InvalidNetns, tried)?;
        let _back = Back(home);
        action()
    }
}

/// Whether an open namespace is a network's. Kernels before 4.11 do not say; they refuse to enter others.
#[allow(unsafe_code, reason = "nix has no such request")]
fn is_of_network(file: &File) -> Result<bool, Errno> {
    // SAFETY: the descriptor is open, and the request takes no argument.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), TYPE as _) };
    match Errno::result(kind) {
        Ok(kind) => Ok(kind == libc::CLONE_NEWNET),
        Err(Errno::ENOTTY) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Returns to the namespace it holds when dropped.
struct Back(File);

impl Drop for Back {
    fn drop(&mut self) {
        if setns(&self.0, CloneFlags::CLONE_NEWNET).is_err() {
            // To go on would change the container where the host was meant. There is no known way
            // to get here: the thread had this namespace and its privileges a moment ago.
            std::process::abort();
        }
    }
}

/// Whether `path` is the calling thread's own namespace. What cannot be read is not.
pub fn is_own(path: &Path) -> bool {
    let id = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((id(path), id(Path::new(OWN))), (Ok(a), Ok(b)) if a == b)
}

/// Runs `action` in a new, empty namespace that is gone afterwards.
///
/// A thread of its own enters it: what happens to that thread cannot leave the caller elsewhere.
///
/// # Errors
/// Code 100 when the kernel gives no namespace, else what `action` gives.
pub fn in_a_new_one<T: Send>(action: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let made = || Error::new(Code::System, "create a temporary network namespace");
    let inside = move || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| made().with_details(errno.desc()))?;
        action()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, inside);
        match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(made())),
            Err(cause) => Err(made().with_details(cause)),
        }
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
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_namespace_of_another_type_is_no_network_s() {
        let opened = Netns::open(Path::new("/proc/self/ns/mnt"));
        let Err(OpenError::Foreign(error)) = opened else {
            panic!("{opened:?}");
        };
        assert_eq!(error.code, Code::InvalidNetns);
        assert!(error.msg.ends_with("/proc/self/ns/mnt"), "{error}");
        assert!(Netns::own().is_ok());
    }

    #[test]
    fn its_own_namespace_is_recognised() {
        assert!(is_own(Path::new("/proc/self/ns/net")));
        assert!(!is_own(Path::new("/proc/self/ns/mnt")));
        assert!(!is_own(Path::new("/nowhere")));
    }
}
