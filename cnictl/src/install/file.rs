//! Files: their sums, writing them whole, and names that change places.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::hash::sha512;
use common::sys::rename::{Taken, rename};
use nix::errno::Errno;

/// Adds what was tried on which path to an error.
pub fn tried(what: &str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let message = format!("{what} {}", path.display());
    move |cause| io::Error::new(cause.kind(), format!("{message}: {cause}"))
}

/// The sum of a file's contents, as `sha512sum` prints it.
pub fn sum(bytes: &[u8]) -> String {
    sha512(&[bytes])
}

/// What is there; a link is something, wherever it leads.
pub fn found(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(tried("look at", path)),
    }
}

/// Whether `path` is a regular file with this sum.
pub fn is(path: &Path, expected: &str) -> io::Result<bool> {
    match found(path)? {
        Some(found) if found.is_file() => {
            let bytes = fs::read(path).map_err(tried("read", path))?;
            Ok(sum(&bytes) == expected)
        }
        Some(_) | None => Ok(false),
    }
}

/// Writes a file with this mode and waits until it is on disk.
pub fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.write_all(bytes)?;
        // After the fact, because the process's umask applies to the mode of `open`.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()
    };
    write().map_err(tried("write", path))
}

/// Waits until the names in a directory are on disk.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(tried("sync", dir))
}

/// Two names change places: in one step by renameat2(2), `RENAME_EXCHANGE`. A file system without that,
/// such as NFS or an older ZFS, gets `target` replaced in one step all the same, after what it names
/// has got the name `second`, which then becomes `new`.
pub fn exchange(new: &Path, target: &Path, second: &Path) -> io::Result<()> {
    match rename(new, target, Taken::Exchange) {
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => fs::hard_link(target, second)
            .and_then(|()| fs::rename(new, target))
            .and_then(|()| fs::rename(second, new)),
        done => done.map_err(io::Error::from),
    }
    .map_err(tried("replace", target))
}

/// A rename that fails where the new name is taken: renameat2(2), `RENAME_NOREPLACE`, or a second name
/// in place of the first where the file system does not have that.
pub fn move_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match rename(from, to, Taken::Refuse) {
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
        }
        done => done.map_err(io::Error::from),
    }
    .map_err(tried("create", to))
}
