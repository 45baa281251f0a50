//! DEL puts back what the backup holds, and removes it. GC removes the backups of this network's dead
//! attachments: their namespaces are gone or unknown, so nothing is restored. Backups that the reference
//! wrote do not say whose they are, and stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::netconf::ValidAttachment;
use common::sys::file::{self, Content};
use common::sys::netns::Netns;
use common::{Attachment, Error, Request, turn};

use crate::TURNS;
use crate::backup::{self, Backup, Saved, Store};
use crate::config;
use crate::look;
use crate::observe::Container;
use crate::offload::ends::{self, Ends};
use crate::originals::Originals;
use crate::restore::{self, Failure, Outcome};

/// The age from which a file that is still being written has lost its writer.
const ABANDONED: Duration = Duration::from_secs(600);

/// Restores the attachment.
///
/// Nothing but `dataDir` is read from the configuration, so that no mistake in it keeps anything
/// from being cleaned up.
///
/// # Errors
/// Every value that could not be put back. The backup then stays for another try, unless that
/// would be pointless.
pub fn del(request: &Request) -> Result<(), Error> {
    // A `dataDir` that is not a path never had a backup; ADD refuses it.
    let dir =
        config::data_dir(request.conf.object()).unwrap_or_else(|_| config::default_data_dir());
    let store = Store::new(&dir, &request.attachment);
    let _turn = TURNS.of_del(request);
    let (mut all, mut errors) = store.all();
    if all.is_empty() && errors.is_empty() {
        match store.of_another_network() {
            Ok(Some(saved)) => match was_renamed(request, &saved) {
                Ok(true) => all.push(saved),
                Ok(false) => request.log.warn(of_another_network(&saved)),
                Err(why) => {
                    let warning = of_another_network(&saved);
                    request.log.warn(format!("{warning}: {why}"));
                }
            },
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
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

/// Removes what belongs to this network and to no valid attachment.
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
    for name in backup::names(&dir)? {
        let Some(name) = name.to_str() else { continue };
        let path = dir.join(name);
        let waste = waste(&path, name, is_dead, request);
        match waste.and_then(|waste| waste.map_or(Ok(false), |waste| waste.remove(&path, request)))
        {
            Ok(true) => request.log.changed(format!("removed the backup {name}")),
            Ok(false) => {}
            Err(error) => errors.push(error),
        }
    }
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

/// Whether a backup of another network is this attachment's from before its network was renamed: what
/// it saved is what this configuration sets, and the kernel has all of that. The reference's backups
/// name no network, and its DEL restores under any name.
///
/// # Errors
/// Why that could not be found out, such as that the namespace is gone.
fn was_renamed(request: &Request, saved: &Saved) -> Result<bool, Error> {
    let steps = look::steps_by(request, |_| Ok(saved.backup.shown.clone()))?;
    let set = Originals::of(steps.iter().filter_map(|step| step.undo.as_ref()));
    let is_in_force = steps.iter().all(|step| step.drift.is_none());
    Ok(is_in_force && set.is_about_the_same_as(&saved.backup.originals))
}

fn of_another_network(saved: &Saved) -> String {
    let owner = saved.backup.owner.as_ref();
    let network = owner.map_or("", |owner| &owner.network);
    let path = saved.path.display();
    format!("backup {path} is of network {network} and stays")
}

/// The container's namespace, or `None` when no path was given or nothing can be in it any longer.
fn open(request: &Request) -> Result<Option<Netns>, Error> {
    let netns = request.netns.as_deref().map(Netns::open_if_there);
    Ok(netns.transpose()?.flatten())
}

fn restore(netns: &Netns, backup: &Backup, attachment: &Attachment) -> Result<Outcome, Error> {
    let originals = &backup.originals;
    let ifname = &attachment.ifname;
    let sides = originals.sides();
    let mut ends = Ends::new();
    let outcome = netns.run(|| {
        let mut container = Container::open(ifname)?;
        let here = container.netns_id()?;
        if backup.netns.is_some() && here.is_some() && backup.netns != here {
            // The namespace that was tuned is gone; this one never was.
            return Ok(Some(Outcome::default()));
        }
        let is_all = sides.is_empty();
        Ok(is_all.then(|| restore::restore(&mut container, &mut ends, originals)))
    })?;
    if let Some(outcome) = outcome {
        return Ok(outcome);
    }
    let mut failures = Vec::new();
    for side in sides {
        match ends::open(netns, ifname, &[side]) {
            Ok(end) => ends.extend(end),
            // The rest is restored all the same; the backup stays for this.
            Err(error) => failures.push(Failure {
                error,
                is_final: false,
            }),
        }
    }
    let mut outcome = netns.run(|| {
        let mut container = Container::open(ifname)?;
        Ok(restore::restore(&mut container, &mut ends, originals))
    })?;
    outcome.failures.extend(failures);
    Ok(outcome)
}

/// A file that GC removes.
enum Waste {
    /// What a killed writer left.
    Draft,
    /// A dead attachment's backup.
    Backup(Attachment, Vec<u8>),
}

impl Waste {
    /// Removes it, unless another process changes the attachment, or has since it was read: then it is not dead. Says
    /// whether it did.
    fn remove(self, path: &Path, request: &Request) -> Result<bool, Error> {
        let _turn = match self {
            Waste::Draft => None,
            Waste::Backup(owner, bytes) => {
                let Some(turn) = TURNS.at_once(&turn::name(&owner)) else {
                    let text = format!("{} stays: {owner} is being changed", path.display());
                    request.log.warn(text);
                    return Ok(false);
                };
                if file::read_state(path)? != Content::Bytes(bytes) {
                    return Ok(false);
                }
                Some(turn)
            }
        };
        file::remove(path).map(|()| true)
    }
}

/// What GC removes of a file: the backup of a dead attachment, or one whose writer was killed long ago.
fn waste(
    path: &Path,
    name: &str,
    is_dead: impl Fn(&Attachment) -> bool,
    request: &Request,
) -> Result<Option<Waste>, Error> {
    if name.starts_with('.') && name.ends_with(backup::DRAFT) {
        return Ok(is_abandoned(path).then_some(Waste::Draft));
    }
    if name.starts_with('.') || !name.ends_with(".json") {
        return Ok(None);
    }
    match file::read_state(path)? {
        Content::Absent => Ok(None),
        Content::NoFile(what) => {
            request
                .log
                .warn(format!("{} is {what}, not a backup", path.display()));
            Ok(None)
        }
        Content::Bytes(bytes) => {
            let owner = Backup::parse(&bytes).0.owner;
            let owner = owner.filter(|owner| backup::is_named_for(name, owner) && is_dead(owner));
            Ok(owner.map(|owner| Waste::Backup(owner, bytes)))
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|meta| meta.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
}
