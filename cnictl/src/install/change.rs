//! The swap of new files for old ones, all or nothing.

use std::fs;
use std::io;

use super::Replaced;
use super::file::{self, tried};
use super::state::State;

/// One file to put in place.
pub struct Change {
    /// The plugin's name.
    pub name: String,
    /// The new file.
    pub bytes: Vec<u8>,
    /// The sum of `bytes`.
    pub sum: String,
}

/// What a swap did, as far as undoing it goes.
enum Swapped<'a> {
    Exchanged(&'a str),
    Added(&'a str),
}

/// Swaps every file in; what fails before the last swap is undone.
pub fn apply(state: &mut State, changes: &[Change], replaced: Replaced) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    stage(state, changes)?;
    let mut done = Vec::new();
    for change in changes {
        match swap(state, &change.name) {
            Ok(swapped) => done.push(swapped),
            Err(cause) => return Err(undo(state, &done, cause)),
        }
    }
    file::sync_dir(state.dir())?;
    if replaced == Replaced::Dropped {
        drop_replaced(state, &done)?;
    }
    state.settle()?;
    for change in changes {
        state.forget_older(&change.name, &change.sum)?;
    }
    Ok(())
}

/// Everything that can fail for lack of space or rights happens before the first swap.
fn stage(state: &mut State, changes: &[Change]) -> io::Result<()> {
    for change in changes {
        let target = state.target(&change.name);
        if file::found(&target)?.is_some_and(|m| m.is_dir()) {
            let message = format!("{} is a directory", target.display());
            return Err(io::Error::other(message));
        }
        file::write_synced(&state.partial(&change.name), &change.bytes, 0o755)?;
    }
    let sums = changes.iter().map(|c| (c.sum.clone(), c.name.clone()));
    state.record(sums)?;
    for change in changes {
        let staged = state.new_file(&change.name);
        fs::rename(state.partial(&change.name), &staged).map_err(tried("stage", &staged))?;
    }
    Ok(())
}

fn swap<'a>(state: &State, name: &'a str) -> io::Result<Swapped<'a>> {
    let (new, target) = (state.new_file(name), state.target(name));
    match file::exchange(&new, &target, &state.second(name)) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            file::move_to_free_name(&new, &target)?;
            Ok(Swapped::Added(name))
        }
        done => done.map(|()| Swapped::Exchanged(name)),
    }
}

/// Removes the files that the swaps brought out.
fn drop_replaced(state: &State, done: &[Swapped]) -> io::Result<()> {
    for swapped in done {
        if let Swapped::Exchanged(name) = swapped {
            let old = state.new_file(name);
            fs::remove_file(&old).map_err(tried("remove", &old))?;
        }
    }
    Ok(())
}

/// The error to report: the cause, and what could not be restored.
fn undo(state: &State, done: &[Swapped], cause: io::Error) -> io::Error {
    let back = |swapped: &Swapped| match swapped {
        Swapped::Exchanged(name) => file::exchange(
            &state.new_file(name),
            &state.target(name),
            &state.second(name),
        ),
        Swapped::Added(name) => fs::rename(state.target(name), state.new_file(name))
            .map_err(tried("roll back", &state.target(name))),
    };
    let failed = done.iter().rev().filter_map(|swapped| back(swapped).err());
    let message = failed.fold(cause.to_string(), |message, next| {
        format!("{message}; and when undoing: {next}")
    });
    io::Error::new(cause.kind(), message)
}
