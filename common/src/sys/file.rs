//! State files: written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Code, Context, Error};

/// Writes `bytes` to `dir`/`name` so that a crash leaves the old file or the new one, never a part:
/// into a temporary file, synced, then renamed. Mode 0600; missing directories get 0700.
///
/// # Errors
/// Code 5 with the path and what was tried; no temporary file is left then.
pub fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .context(Code::Io, || format!("create directory {}", dir.display()))?;
    let path = dir.join(name);
    // Its own name per process; what a killed one left is overwritten by the next of that number.
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    write_synced(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, &path))
        .and_then(|()| File::open(dir)?.sync_all())
        .inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = fs::remove_file(&temporary);
        })
        .context(Code::Io, || format!("write {}", path.display()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a file; one that is not there is success.
///
/// # Errors
/// Code 5 with the path.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
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
        Err(cause)
            if matches!(
                cause.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(cause) => Err(cause).context(Code::Io, || format!("read {}", path.display())),
    }
}
