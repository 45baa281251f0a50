//! renameat2(2), which musl has no function for and `nix` therefore only with the GNU C library.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

/// What a rename does where the new name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Both names change places (`RENAME_EXCHANGE`); the new one must exist.
    Exchange,
    /// It fails with `EEXIST` (`RENAME_NOREPLACE`).
    Refuse,
}

/// Renames a file; relative names are looked up in the working directory.
///
/// # Errors
/// As renameat2(2): `EINVAL`, `ENOSYS` or `EOPNOTSUPP` where the file system or the kernel does not
/// know the flag. A name with a zero byte in it is `EINVAL` too.
#[allow(unsafe_code)]
pub fn rename(from: &Path, to: &Path, taken: Taken) -> Result<(), Errno> {
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL);
    let (from, to) = (name(from)?, name(to)?);
    let flags = match taken {
        Taken::Exchange => libc::RENAME_EXCHANGE,
        Taken::Refuse => libc::RENAME_NOREPLACE,
    };
    // SAFETY: both names are strings that end in a zero byte and live through the call; the kernel
    // only reads them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            flags,
        )
    };
    Errno::result(done).map(drop)
}
