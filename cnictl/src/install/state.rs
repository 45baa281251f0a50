//! What an installation remembers: `.cni-meta-plugins` inside the CNI directory.
//!
//! ```text
//! .cni-meta-plugins/installed        sum and name of each file we put there, as sha512sum prints it
//! .cni-meta-plugins/replaced/NAME    what was there before us
//! .cni-meta-plugins/new/NAME         on its way in; after the swap, on its way out
//! .cni-meta-plugins/new/NAME.partial being written
//! .cni-meta-plugins/new/NAME.second  a second name of what is there, while `new/NAME` replaces it on a
//!                                    file system that cannot swap two names
//! ```
//!
//! A sum is recorded before its file can appear under a plugin's name, so a file whose sum is not
//! recorded is never ours.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::file::{self, tried};

/// Ends the name of a file that is being written.
const PARTIAL: &str = ".partial";
/// Ends the second name of a file.
const SECOND: &str = ".second";

/// The remembered state of one CNI directory.
pub struct State {
    dir: PathBuf,
    place: PathBuf,
    /// Sum and name, each once.
    installed: Vec<(String, String)>,
}

impl State {
    /// Reads the state.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let place = dir.join(".cni-meta-plugins");
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

    /// Makes the directories that are missing.
    pub fn make(&self) -> io::Result<()> {
        for sub in ["new", "replaced"] {
            let sub = self.place.join(sub);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&sub);
            made.map_err(tried("create", &sub))?;
        }
        Ok(())
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

    /// The second name of the plugin's file during a swap.
    pub fn second(&self, name: &str) -> PathBuf {
        self.new_file(&format!("{name}{SECOND}"))
    }

    /// The CNI directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether `path` holds a file that we installed, or are about to, as `name`.
    pub fn is_ours(&self, name: &str, path: &Path) -> io::Result<bool> {
        for (sum, _) in self.installed.iter().filter(|(_, n)| n == name) {
            if file::is(path, sum)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All names that were installed or replaced.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = list(&self.place.join("replaced"))?;
        names.extend(self.installed.iter().map(|(_, name)| name.clone()));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Remembers sums, each with its name, besides those of before.
    pub fn record(&mut self, sums: impl IntoIterator<Item = (String, String)>) -> io::Result<()> {
        for sum in sums {
            if !self.installed.contains(&sum) {
                self.installed.push(sum);
            }
        }
        self.write()
    }

    /// Forgets all sums of `name` but this one.
    pub fn forget_older(&mut self, name: &str, sum: &str) -> io::Result<()> {
        self.installed.retain(|(s, n)| n != name || s == sum);
        self.write()
    }

    /// Forgets all sums of `name`.
    pub fn forget(&mut self, name: &str) -> io::Result<()> {
        self.forget_older(name, "")
    }

    fn write(&self) -> io::Result<()> {
        self.make()?;
        let lines = self.installed.iter().map(|(s, n)| format!("{s}  {n}\n"));
        let (record, partial) = (self.place.join("installed"), self.partial("installed"));
        file::write_synced(&partial, lines.collect::<String>().as_bytes(), 0o644)?;
        fs::rename(&partial, &record).map_err(tried("write", &record))?;
        file::sync_dir(&self.place)
    }

    /// Finishes what an interrupted run left: our own files go, and what a swap brought out is kept.
    pub fn settle(&self) -> io::Result<()> {
        let new = self.place.join("new");
        for name in list(&new)? {
            if let Some(plugin) = name.strip_suffix(SECOND) {
                self.settle_second(plugin)?;
            }
        }
        for name in list(&new)? {
            let left = self.new_file(&name);
            if name.ends_with(PARTIAL) || self.is_ours(&name, &left)? {
                fs::remove_file(&left).map_err(tried("remove", &left))?;
            } else {
                let kept = self.replaced(&name);
                fs::rename(&left, &kept).map_err(tried("keep the old file as", &kept))?;
            }
        }
        Ok(())
    }

    /// A swap without `RENAME_EXCHANGE` stopped halfway: before the new file took its place, when
    /// `second` is one name too many, or after, when it is the only one of the old file.
    fn settle_second(&self, name: &str) -> io::Result<()> {
        let (new, second) = (self.new_file(name), self.second(name));
        match file::found(&new)? {
            Some(_) => fs::remove_file(&second).map_err(tried("remove", &second)),
            None => fs::rename(&second, &new).map_err(tried("name", &new)),
        }
    }

    /// Removes what is empty; what is still kept for a file that another program replaced stays.
    pub fn tidy(&self) -> io::Result<()> {
        if !self.installed.is_empty() || !self.place.is_dir() {
            return Ok(());
        }
        let record = self.place.join("installed");
        match fs::remove_file(&record) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(tried("remove", &record)(cause));
            }
            _ => {}
        }
        for path in [
            &self.place.join("new"),
            &self.place.join("replaced"),
            &self.place,
        ] {
            match fs::remove_dir(path) {
                Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(tried("remove", path))?,
            }
        }
        file::sync_dir(&self.dir)
    }
}

/// The names in a directory; none where there is no such directory.
fn list(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(tried("list", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(tried("list", dir))?.file_name();
        names.extend(name.into_string());
    }
    Ok(names)
}
