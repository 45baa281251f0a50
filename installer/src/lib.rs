//! Installs plugins into a CNI directory so that no runtime ever sees a missing or partial file, and
//! so that `restore` brings back exactly what was there: same file, owner, mode and times.
//!
//! The new file is written beside the target and synced; `renameat2` with `RENAME_EXCHANGE` then
//! swaps the two in one step, after which the old file is the one beside it. State lives in
//! [`State`]'s directory inside the CNI directory, since a rename cannot leave a file system.

mod change;
mod file;
mod state;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use change::Change;
use file::tried;
use state::State;

/// Puts every file of `from` into `dir`: all of them or, if one fails, none. Returns a line about
/// each for people.
///
/// # Errors
/// What was tried on which file; `dir` is then as before, or the error says what is not.
pub fn install(from: &Path, dir: &Path) -> io::Result<Vec<String>> {
    let _lock = lock(dir)?;
    let mut state = State::open(dir)?;
    state.settle()?;
    let mut told = Vec::new();
    let mut changes = Vec::new();
    for (name, bytes) in payload(from)? {
        let sum = file::sum(&bytes);
        if file::is(&dir.join(&name), &sum) {
            told.push(format!("{name}: already installed"));
            continue;
        }
        changes.push(Change { name, bytes, sum });
    }
    change::apply(&mut state, &changes)?;
    told.extend(changes.iter().map(|change| {
        let what = if state.replaced(&change.name).symlink_metadata().is_ok() {
            "installed; what was there is kept"
        } else {
            "installed"
        };
        format!("{}: {what}", change.name)
    }));
    Ok(told)
}

/// Puts back what [`install`] replaced, and removes what it added. A file that somebody else has put
/// there since stays, and so does what was kept for it.
///
/// # Errors
/// What was tried on which file.
pub fn restore(dir: &Path) -> io::Result<Vec<String>> {
    let _lock = lock(dir)?;
    if !State::exists(dir) {
        return Ok(vec!["nothing is installed".to_owned()]);
    }
    let state = State::open(dir)?;
    state.settle()?;
    let mut told = Vec::new();
    for name in state.names()? {
        told.push(format!("{name}: {}", restore_one(&state, &name)?));
    }
    state.remove()?;
    Ok(told)
}

fn restore_one(state: &State, name: &str) -> io::Result<&'static str> {
    let (target, kept) = (state.target(name), state.replaced(name));
    let ours = state.is_ours(name, &target);
    let gone = target.symlink_metadata().is_err();
    if !ours && !gone {
        return Ok("somebody else replaced it since; left as it is");
    }
    if kept.symlink_metadata().is_ok() {
        fs::rename(&kept, &target).map_err(tried("put back", &target))?;
        return Ok("what was there before is back");
    }
    if ours {
        fs::remove_file(&target).map_err(tried("remove", &target))?;
    }
    Ok("removed; nothing was there before")
}

/// Held until dropped: two installers on a node wait for each other.
fn lock(dir: &Path) -> io::Result<File> {
    let lock = File::open(dir).map_err(tried("open", dir))?;
    lock.lock().map_err(tried("lock", dir))?;
    Ok(lock)
}

/// Names and contents of the plugins in the image, in the order of their names.
fn payload(from: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from).map_err(tried("list", from))? {
        names.extend(entry?.file_name().into_string());
    }
    if names.is_empty() {
        return Err(io::Error::other(format!(
            "no plugins in {}",
            from.display()
        )));
    }
    let read = |name: String| {
        let path = from.join(&name);
        let bytes = fs::read(&path).map_err(tried("read", &path))?;
        Ok((name, bytes))
    };
    names.into_iter().map(read).collect()
}
