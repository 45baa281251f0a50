//! A namespace mounted on a file, as container runtimes keep theirs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Namespace;

/// A mount of a namespace on a file; see [`Namespace::bind`]. Unmounted and removed by Drop.
#[derive(Debug)]
pub struct Bound {
    file: PathBuf,
}

impl Bound {
    pub(super) fn new(namespace: &Namespace, file: PathBuf) -> io::Result<Self> {
        let tried = |e: io::Error| {
            io::Error::new(
                e.kind(),
                format!("bind a network namespace to {}: {e}", file.display()),
            )
        };
        File::create_new(&file).map_err(tried)?;
        let none: Option<&str> = None;
        if let Err(e) = mount(Some(&namespace.path()), &file, none, MsFlags::MS_BIND, none) {
            // Nothing can be done about a file that stays behind, and the mount is the error to report.
            let _ = fs::remove_file(&file);
            return Err(tried(e.into()));
        }
        Ok(Self { file })
    }

    /// The file the namespace is mounted on.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // A test may have unmounted or removed it itself, to see what a plugin does then.
        let _ = umount2(&self.file, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&self.file);
    }
}
