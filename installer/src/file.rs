//! Files: their sums, writing them whole, and saying what was tried on which.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sha2::{Digest, Sha256};

/// Adds what was tried on which path to an error.
pub fn tried(what: &str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let told = format!("{what} {}", path.display());
    move |cause| io::Error::new(cause.kind(), format!("{told}: {cause}"))
}

/// SHA-256 in lower-case hex, as `sha256sum` prints it.
pub fn sum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `path` is a regular file with this sum. What cannot be read is something else.
pub fn is(path: &Path, expected: &str) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_file())
        && fs::read(path).is_ok_and(|bytes| sum(&bytes) == expected)
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

/// Two names change places in one step: renameat2(2), `RENAME_EXCHANGE`.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    rename_with(RenameFlags::RENAME_EXCHANGE, one, other)
}

/// A rename that fails where the new name is taken: renameat2(2), `RENAME_NOREPLACE`.
pub fn move_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    rename_with(RenameFlags::RENAME_NOREPLACE, from, to)
}

fn rename_with(flags: RenameFlags, from: &Path, to: &Path) -> io::Result<()> {
    renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)
        .map_err(io::Error::from)
        .map_err(tried("replace", to))
}
