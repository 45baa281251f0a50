//! DEL: puts back what the backup holds, and removes it.

use common::sys::file;
use common::sys::netns::{Netns, OpenError};
use common::{Attachment, Error, Request};

use crate::backup::{Backup, Saved, Store};
use crate::config;
use crate::kernel::Container;
use crate::offload::ends;
use crate::restore::{self, Outcome};

/// Restores the attachment.
///
/// Nothing but `dataDir` is read from the configuration, so that no mistake in it keeps anything
/// from being cleaned up.
///
/// # Errors
/// Every value that could not be put back. The backup then stays for another try, unless that
/// would be pointless.
pub fn del(request: &Request) -> Result<(), Error> {
    // A `dataDir` that is no path never had a backup; ADD refuses it.
    let dir =
        config::data_dir(request.conf.object()).unwrap_or_else(|_| config::default_data_dir());
    let store = Store::new(&dir, &request.attachment);
    let (all, mut errors) = store.all();
    if !all.is_empty() {
        match open(request) {
            Ok(netns) => all.iter().for_each(|saved| {
                errors.extend(one(saved, netns.as_ref(), request).err());
            }),
            Err(error) => errors.push(error),
        }
    }
    errors.extend(store.remove_draft().err());
    Error::all(errors).map_or(Ok(()), Err)
}

/// Restores what one backup holds, and removes it.
fn one(saved: &Saved, netns: Option<&Netns>, request: &Request) -> Result<(), Error> {
    let Saved {
        path,
        bytes: _,
        backup,
        faults,
    } = saved;
    if !faults.is_empty() {
        let faults = faults.join("; ");
        request
            .log
            .warn(format!("backup {}: {faults}", path.display()));
    }
    let Outcome { restored, failures } = match netns {
        Some(netns) => restore(netns, backup, &request.attachment)?,
        None => Outcome::default(),
    };
    if !restored.is_empty() {
        request
            .log
            .changed(format!("restored {}", restored.join(", ")));
    }
    let is_over = failures.iter().all(|failure| failure.is_final);
    let mut errors: Vec<Error> = failures.into_iter().map(|failure| failure.error).collect();
    if is_over {
        match file::remove(path) {
            Ok(()) if restored.is_empty() => request.log.changed("removed the backup"),
            removed => errors.extend(removed.err()),
        }
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// The container's namespace, or `None` when nothing can be in it any more: no path was given, it is
/// gone, or something that is no namespace has taken its place.
fn open(request: &Request) -> Result<Option<Netns>, Error> {
    let Some(path) = &request.netns else {
        return Ok(None);
    };
    match Netns::open(path) {
        Ok(netns) => Ok(Some(netns)),
        Err(OpenError::Gone(_) | OpenError::Foreign(_)) => Ok(None),
        Err(OpenError::Unusable(error)) => Err(error),
    }
}

fn restore(netns: &Netns, backup: &Backup, attachment: &Attachment) -> Result<Outcome, Error> {
    let (container, here) = netns.run(|| {
        let container = Container::open(&attachment.ifname)?;
        let here = container.netns_id()?;
        Ok((container, here))
    })?;
    if backup.netns.is_some() && here.is_some() && backup.netns != here {
        // The namespace that was tuned is gone; this one never was.
        return Ok(Outcome::default());
    }
    let originals = &backup.originals;
    let mut container = container;
    let mut ends = ends::open(netns, &attachment.ifname, &originals.sides())?;
    netns.run(|| Ok(restore::restore(&mut container, &mut ends, originals)))
}
