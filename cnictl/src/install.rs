//! Puts plugins into a CNI directory so that no runtime ever sees a missing or partial file, and so that
//! [`restore`] brings back exactly what was there: same file, owner, mode and times. The commands
//! `install` and `uninstall` are this.
//!
//! The new file is written beside the target and synced; then the two change places in one step, after
//! which the old file is the one beside it. What is remembered is below `.cni-meta-plugins` in the CNI
//! directory, since a rename cannot leave a file system; `state.rs` says what is in there.

mod change;
mod file;
mod state;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use common::{Code, Error};

use change::Change;
use file::tried;
use state::State;

pub use file::found;

/// A plugin to install.
pub struct File {
    /// Its name, and that of its plugin.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What becomes of a file that is replaced and is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is kept for [`restore`].
    Kept,
    /// It goes.
    Dropped,
}

/// What was done with one plugin; it prints as a line for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The same file was there already.
    Already,
    /// Installed.
    Installed,
    /// Installed; what was there is kept.
    InstalledAndKept,
    /// What was kept is back.
    Back,
    /// Removed; nothing was kept.
    Removed,
    /// Another program's file is there; it stays, and so does what is kept for it.
    LeftAlone,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Done::Already => "already installed",
            Done::Installed => "installed",
            Done::InstalledAndKept => "installed; the previous file is kept",
            Done::Back => "the previous file is restored",
            Done::Removed => "removed; nothing was kept",
            Done::LeftAlone => "replaced by another program since; left unchanged",
        })
    }
}

/// What was done, for people: a line about each plugin.
pub fn told(done: &[(String, Done)]) -> String {
    if done.is_empty() {
        return "nothing is installed\n".to_owned();
    }
    let lines = done.iter().map(|(name, what)| format!("{name}: {what}\n"));
    lines.collect()
}

/// Puts every plugin into `dir`: all of them or, if one fails, none. Says of each what was done.
///
/// # Errors
/// What was tried on which file; `dir` is then as before, or the error says what is not.
pub fn install(
    plugins: Vec<File>,
    dir: &Path,
    replaced: Replaced,
) -> io::Result<Vec<(String, Done)>> {
    let _lock = lock(dir)?;
    let mut state = State::open(dir)?;
    state.make()?;
    state.settle()?;
    let mut done = Vec::new();
    let mut changes = Vec::new();
    for File { name, bytes } in plugins {
        let sum = file::sum(&bytes);
        if file::is(&state.target(&name), &sum)? {
            // Also where it was copied there by hand: it is ours to remove.
            state.record([(sum, name.clone())])?;
            done.push((name, Done::Already));
            continue;
        }
        changes.push(Change { name, bytes, sum });
    }
    if let Err(cause) = change::apply(&mut state, &changes, replaced) {
        // The first failure is the one to report.
        let _ = state.tidy();
        return Err(cause);
    }
    for change in changes {
        let what = match file::found(&state.replaced(&change.name))? {
            Some(_) => Done::InstalledAndKept,
            None => Done::Installed,
        };
        done.push((change.name, what));
    }
    Ok(done)
}

/// Restores what [`install`] replaced, and removes what it added: everything, or the plugins
/// that are named only. Says of each what was done.
///
/// # Errors
/// What was tried on which file.
pub fn restore(dir: &Path, only: &[&str]) -> io::Result<Vec<(String, Done)>> {
    let _lock = lock(dir)?;
    let mut state = State::open(dir)?;
    state.settle()?;
    let mut names = state.names()?;
    names.retain(|name| only.is_empty() || only.contains(&name.as_str()));
    let mut done = Vec::new();
    for name in names {
        let what = restore_one(&state, &name)?;
        state.forget(&name)?;
        done.push((name, what));
    }
    state.tidy()?;
    Ok(done)
}

fn restore_one(state: &State, name: &str) -> io::Result<Done> {
    let (target, kept) = (state.target(name), state.replaced(name));
    let ours = state.is_ours(name, &target)?;
    let gone = file::found(&target)?.is_none();
    if !ours && !gone {
        return Ok(Done::LeftAlone);
    }
    if file::found(&kept)?.is_some() {
        fs::rename(&kept, &target).map_err(tried("put back", &target))?;
        return Ok(Done::Back);
    }
    if ours {
        fs::remove_file(&target).map_err(tried("remove", &target))?;
    }
    Ok(Done::Removed)
}

/// What failed, as the protocol's error.
pub fn failure(cause: io::Error) -> Error {
    Error::new(Code::Io, cause.to_string())
}

/// Held until dropped: two installations on a node wait for each other.
fn lock(dir: &Path) -> io::Result<fs::File> {
    let lock = fs::File::open(dir).map_err(tried("open", dir))?;
    lock.lock().map_err(tried("lock", dir))?;
    Ok(lock)
}
