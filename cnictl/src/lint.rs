//! What is wrong with a configuration, before a pod finds out.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`place`] | where in a text a value is |
//! | [`document`] | a file, its values, and what is found in it |
//! | [`list`] | a list: its keys, its version, its order |
//! | [`folder`] | plugins in files of their own |
//! | [`part`] | a plugin's part: what ADD would refuse, and unknown keys |
//! | [`capability`] | what a part requests of the runtime |

pub mod again;
pub mod capability;
pub mod document;
pub mod folder;
pub mod list;
pub mod part;
pub mod place;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use common::sys::file;
use common::{Code, Error};

use crate::finding::Severity;
use crate::plugins::Plugin;
use crate::runner::conf_dir::{self, EXTENSIONS};
use document::{Document, Finding};

/// Everything that is wrong with a file, or with the files of a directory.
///
/// # Errors
/// What cannot be read.
pub fn path(path: &Path) -> Result<Vec<Finding>, Error> {
    match path.is_dir() {
        true => directory(path),
        false => file_of(path, &read(path)?),
    }
}

/// What is wrong with a file, and with those of its folder.
fn file_of(path: &Path, bytes: &[u8]) -> Result<Vec<Finding>, Error> {
    let mut found = list::findings(path, bytes);
    found.extend(folder::findings(path, bytes)?);
    Ok(found)
}

/// The plugins whose configurations are known.
pub fn ours() -> impl Iterator<Item = Plugin> {
    Plugin::value_variants().iter().copied()
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    file::read(file)?.ok_or_else(|| does_not_exist(file))
}

fn does_not_exist(path: &Path) -> Error {
    Error::new(Code::Io, format!("{} does not exist", path.display()))
}

fn directory(dir: &Path) -> Result<Vec<Finding>, Error> {
    let files = files(dir)?;
    if files.is_empty() {
        let msg = format!("{} has no .conflist, .conf or .json", dir.display());
        return Err(Error::new(Code::Io, msg));
    }
    let mut found = Vec::new();
    let mut names: HashMap<String, PathBuf> = HashMap::new();
    for file in files {
        // What is wrong with one file hides nothing of the others.
        let bytes = match read(&file) {
            Ok(bytes) => bytes,
            Err(error) => {
                found.push(document::unreadable(&file, &error));
                continue;
            }
        };
        match file_of(&file, &bytes) {
            Ok(of_file) => found.extend(of_file),
            Err(error) => found.push(document::unreadable(&file, &error)),
        }
        let Ok(document) = Document::read(&file, &bytes) else {
            continue;
        };
        let Some(at) = document.root().get("name") else {
            continue;
        };
        let name = at.text().unwrap_or_default();
        match names.get(name) {
            None => drop(names.insert(name.to_owned(), file)),
            Some(first) => {
                let text = format!("network {name:?} is in {}, too", first.display());
                found.push(document.finding(Severity::Warning, &at, text, "another name"));
            }
        }
    }
    Ok(found)
}

/// The files of a directory that runtimes read, in their order.
///
/// # Errors
/// What cannot be read.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    conf_dir::files(dir, &EXTENSIONS)?.ok_or_else(|| does_not_exist(dir))
}
