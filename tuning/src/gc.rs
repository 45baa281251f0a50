//! GC: removes the backups of this network's dead attachments.
//!
//! Their namespaces are gone or unknown, so nothing is restored. Backups that the reference wrote do
//! not say whose they are, and stay.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use common::sys::file;
use common::{Code, Context, Error, Request};

use crate::backup::{self, Backup};
use crate::config;

/// The age from which a file that is still being written has lost its writer.
const ABANDONED: Duration = Duration::from_secs(600);

/// Removes what belongs to this network and to none of the valid attachments.
///
/// # Errors
/// Everything that could not be read or removed.
pub fn gc(request: &Request) -> Result<(), Error> {
    let dir = config::data_dir(request.conf.object())?;
    let valid: BTreeSet<String> = request
        .conf
        .valid_attachments()?
        .iter()
        .map(|valid| backup::file_name(&valid.container, &valid.ifname))
        .collect();
    let mut errors = Vec::new();
    for name in names(&dir)? {
        if valid.contains(&name) {
            continue;
        }
        let path = dir.join(&name);
        match is_ours(&path, &name, &request.attachment.network) {
            Ok(true) => match file::remove(&path) {
                Ok(()) => request.log.changed(format!("removed the backup {name}")),
                Err(error) => errors.push(error),
            },
            Ok(false) => {}
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// The files of a directory that may not be there.
fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let tried = || format!("list {}", dir.display());
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause).context(Code::Io, tried),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.context(Code::Io, tried)?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// Whether a file is a backup of the network, or one whose writer was killed long ago.
fn is_ours(path: &Path, name: &str, network: &str) -> Result<bool, Error> {
    if name.starts_with('.') && name.ends_with(".json.tmp") {
        return Ok(is_abandoned(path));
    }
    if name.starts_with('.') || !name.ends_with(".json") {
        return Ok(false);
    }
    let Some(bytes) = file::read(path)? else {
        return Ok(false);
    };
    Ok(Backup::parse(&bytes).0.network.as_deref() == Some(network))
}

fn is_abandoned(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|meta| meta.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
}
