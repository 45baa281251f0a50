//! GC: removes the backups of this network's dead attachments.
//!
//! Their namespaces are gone or unknown, so nothing is restored. Backups that the reference wrote do
//! not say whose they are, and stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::netconf::ValidAttachment;
use common::sys::file::{self, Content};
use common::{Attachment, Error, Request};

use crate::backup::{self, Saved};
use crate::config;

/// The age from which a file that is still being written has lost its writer.
const ABANDONED: Duration = Duration::from_secs(600);

/// Removes what belongs to this network and to none of the valid attachments.
///
/// # Errors
/// Everything that could not be read or removed.
pub fn gc(request: &Request) -> Result<(), Error> {
    let dir = config::data_dir(request.conf.object())?;
    let valid: BTreeSet<ValidAttachment> = request.conf.valid_attachments()?.into_iter().collect();
    let is_dead = |owner: &Attachment| {
        let attachment = ValidAttachment {
            container: owner.container.clone(),
            ifname: owner.ifname.clone(),
        };
        owner.network == request.attachment.network && !valid.contains(&attachment)
    };
    let mut errors = Vec::new();
    for name in file::names(&dir)?.unwrap_or_default() {
        let Some(name) = name.to_str() else { continue };
        let path = dir.join(name);
        match is_waste(&path, name, is_dead, request) {
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

/// Whether a file is a backup of a dead attachment, or one whose writer was killed long ago.
fn is_waste(
    path: &Path,
    name: &str,
    is_dead: impl Fn(&Attachment) -> bool,
    request: &Request,
) -> Result<bool, Error> {
    if name.starts_with('.') && name.ends_with(backup::DRAFT) {
        return Ok(is_abandoned(path));
    }
    if name.starts_with('.') || !name.ends_with(".json") {
        return Ok(false);
    }
    match file::read_state(path)? {
        Content::Absent => Ok(false),
        Content::NoFile(what) => {
            request
                .log
                .warn(format!("{} is {what}, not a backup", path.display()));
            Ok(false)
        }
        Content::Bytes(bytes) => {
            let owner = Saved::new(path.to_owned(), bytes).backup.owner;
            Ok(owner.is_some_and(|owner| backup::is_named_for(name, &owner) && is_dead(&owner)))
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|meta| meta.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
}
