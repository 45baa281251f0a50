//! State files: written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Code, Context, Error};

/// Writes `bytes` to `dir`/`name` so that a crash leaves the old file or the new one, never a part:
/// into [`temporary`], synced, then renamed. Mode 0600; missing directories get 0700.
///
/// Two processes must not write the same file at once: each file has one owner, and a runtime calls
/// the plugins of one attachment one after the other.
///
/// # Errors
/// Code 5 with the path and what was tried; no temporary file is left then.
pub fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    write(dir, name, bytes, true)
}

/// As [`write_whole`], but for files that mean nothing after the machine has crashed: only a crash of
/// the process leaves the old file or the new one for sure. On a disk this takes a tenth of the time.
///
/// # Errors
/// As [`write_whole`].
pub fn write_volatile(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    write(dir, name, bytes, false)
}

fn write(dir: &Path, name: &str, bytes: &[u8], sync: bool) -> Result<(), Error> {
    let path = dir.join(name);
    let temporary = temporary(dir, name);
    make_directory(dir)?;
    write_temporary(&temporary, bytes, sync)
        .and_then(|()| fs::rename(&temporary, &path))
        .and_then(|()| match sync {
            true => File::open(dir)?.sync_all(),
            false => Ok(()),
        })
        .inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = fs::remove_file(&temporary);
        })
        .context(Code::Io, || format!("write {}", path.display()))
}

/// Makes a directory and those above it, as far as they are missing, mode 0700.
///
/// # Errors
/// Code 5 with the path.
pub fn make_directory(dir: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .context(Code::Io, || format!("create directory {}", dir.display()))
}

/// Where a file stands while it is being written. The name is fixed, so that what a killed process
/// left is found by [`remove_whole`].
pub fn temporary(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!(".{name}.tmp"))
}

/// Removes `dir`/`name` and what a killed writer of it left. Nothing there is success.
///
/// # Errors
/// Code 5 with the path.
pub fn remove_whole(dir: &Path, name: &str) -> Result<(), Error> {
    remove(&temporary(dir, name))?;
    remove(&dir.join(name))
}

fn write_temporary(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    match sync {
        true => file.sync_all(),
        false => Ok(()),
    }
}

/// Removes a file; one that is not there is success.
///
/// # Errors
/// Code 5 with the path.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        // A read-only file system refuses the removal of what is not there, too.
        Err(cause) if !is_absence(&cause) && path.symlink_metadata().is_ok() => {
            Err(cause).context(Code::Io, || format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The whole file, or `None` when it is not there.
///
/// # Errors
/// Code 5 with the path.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if is_absence(&cause) => Ok(None),
        Err(cause) => Err(cause).context(Code::Io, || format!("read {}", path.display())),
    }
}

/// Whether there is no such file. None can have a name that is longer than a file system allows.
fn is_absence(cause: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(cause.kind(), NotFound | NotADirectory | InvalidFilename)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_written_whole_for_root_alone_and_replaced_whole() {
        let scratch = Scratch::new("file-whole");
        let dir = scratch.0.join("a/b");
        type Write = fn(&Path, &str, &[u8]) -> Result<(), Error>;
        let writes: [(Write, &str); 3] = [
            (write_whole, "first, longer"),
            (write_whole, "second"),
            (write_volatile, "third"),
        ];
        for (write, text) in writes {
            write(&dir, "x.json", text.as_bytes()).unwrap();
            assert_eq!(read(&dir.join("x.json")).unwrap().unwrap(), text.as_bytes());
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("x.json")), 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_file() {
        let scratch = Scratch::new("file-killed");
        write_whole(&scratch.0, "x", b"1").unwrap();
        fs::write(temporary(&scratch.0, "x"), b"par").unwrap();
        remove_whole(&scratch.0, "x").unwrap();
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_there_or_cannot_be_there_is_absent() {
        let scratch = Scratch::new("file-absent");
        let file = scratch.0.join("file");
        fs::write(&file, b"").unwrap();
        for path in [
            scratch.0.join("none"),
            file.join("below-a-file"),
            scratch.0.join("x".repeat(300)),
        ] {
            assert_eq!(read(&path).unwrap(), None, "{}", path.display());
            remove(&path).unwrap();
        }
        assert_eq!(read(&scratch.0).unwrap_err().code, Code::Io);
    }
}
