//! What an installation remembers: `.cni-meta-plugins` inside the CNI directory.
//!
//! ```text
//! .cni-meta-plugins/installed        sum and name of each file we put there, as sha256sum prints it
//! .cni-meta-plugins/replaced/NAME    what was there before us
//! .cni-meta-plugins/new/NAME         on its way in; after the swap, on its way out
//! .cni-meta-plugins/new/NAME.partial being written
//! ```
//!
//! A sum is recorded before its file can appear under a plugin's name, so a file whose sum is not
//! recorded is never ours.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::file::{self, tried};

/// Ends the name of a file that is being written.
const PARTIAL: &str = ".partial";

/// The remembered state of one CNI directory.
pub struct State {
    dir: PathBuf,
    place: PathBuf,
    /// Sum and name.
    installed: BTreeSet<(String, String)>,
}

impl State {
    fn place(dir: &Path) -> PathBuf {
        dir.join(".cni-meta-plugins")
    }

    /// Whether anything was ever installed, and not restored.
    pub fn exists(dir: &Path) -> bool {
        Self::place(dir).is_dir()
    }

    /// Reads the state; makes its directories where there are none.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let place = Self::place(dir);
        for sub in ["new", "replaced"] {
            let sub = place.join(sub);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&sub);
            made.map_err(tried("create", &sub))?;
        }
        let record = place.join("installed");
        let text = match fs::read_to_string(&record) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(tried("read", &record))?,
        };
        let lines = text.lines().filter_map(|line| line.split_once("  "));
        Ok(Self {
            dir: dir.to_owned(),
            installed: lines.map(|(s, n)| (s.to_owned(), n.to_owned())).collect(),
            place,
        })
    }

    /// Where runtimes look for the plugin.
    pub fn target(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where what was there before us is kept.
    pub fn replaced(&self, name: &str) -> PathBuf {
        self.place.join("replaced").join(name)
    }

    /// Where a new file waits for the swap, and the old one comes out.
    pub fn new_file(&self, name: &str) -> PathBuf {
        self.place.join("new").join(name)
    }

    /// Where a new file is written.
    pub fn partial(&self, name: &str) -> PathBuf {
        self.new_file(&format!("{name}{PARTIAL}"))
    }

    /// The CNI directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether `path` holds a file that we installed, or are about to, as `name`.
    pub fn is_ours(&self, name: &str, path: &Path) -> bool {
        let mut sums = self.installed.iter().filter(|(_, n)| n == name);
        sums.any(|(sum, _)| file::is(path, sum))
    }

    /// All names that were installed or replaced.
    pub fn names(&self) -> io::Result<BTreeSet<String>> {
        let mut names: BTreeSet<_> = self.installed.iter().map(|(_, n)| n.clone()).collect();
        names.extend(list(&self.place.join("replaced"))?);
        Ok(names)
    }

    /// Remembers sums besides those of before.
    pub fn record(&mut self, sums: impl Iterator<Item = (String, String)>) -> io::Result<()> {
        self.installed.extend(sums);
        self.write()
    }

    /// Forgets all sums of `name` but this one.
    pub fn forget_older(&mut self, name: &str, sum: &str) -> io::Result<()> {
        self.installed.retain(|(s, n)| n != name || s == sum);
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let lines = self.installed.iter().map(|(s, n)| format!("{s}  {n}\n"));
        let (record, partial) = (self.place.join("installed"), self.partial("installed"));
        file::write_synced(&partial, lines.collect::<String>().as_bytes(), 0o644)?;
        fs::rename(&partial, &record).map_err(tried("write", &record))?;
        file::sync_dir(&self.place)
    }

    /// Finishes what an interrupted run left: our own files go, and what a swap brought out is kept.
    pub fn settle(&self) -> io::Result<()> {
        for name in list(&self.place.join("new"))? {
            let left = self.new_file(&name);
            if name.ends_with(PARTIAL) || self.is_ours(&name, &left) {
                fs::remove_file(&left).map_err(tried("remove", &left))?;
            } else {
                let kept = self.replaced(&name);
                fs::rename(&left, &kept).map_err(tried("keep the old file as", &kept))?;
            }
        }
        Ok(())
    }

    /// Removes the state; what is still kept for a file that somebody else replaced stays.
    pub fn remove(self) -> io::Result<()> {
        let record = self.place.join("installed");
        for path in [&record] {
            match fs::remove_file(path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(tried("remove", path)(cause));
                }
                _ => {}
            }
        }
        for path in [
            self.place.join("new"),
            self.place.join("replaced"),
            self.place,
        ] {
            match fs::remove_dir(&path) {
                Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                removed => removed.map_err(tried("remove", &path))?,
            }
        }
        file::sync_dir(&self.dir)
    }
}

fn list(dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(tried("list", dir))? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}
