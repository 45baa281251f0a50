//! ADD: saves the originals, then sets every value, or none.

use std::collections::HashSet;

use common::error::short;
use common::sys::file;
use common::{Attachment, Code, Context, Error, Request};

use crate::attribute;
use crate::backup::{Backup, Saved, Shown, Slot, Store};
use crate::config::Setting;
use crate::kernel::{self, Actual, Container, Reading};
use crate::meaning;
use crate::offload::{self, ends::Ends};
use crate::originals::Originals;
use crate::plan::Plan;
use crate::restore::{self, Failure};
use crate::sysctl::Name;

/// Carries out the plan in the calling thread's namespace.
///
/// The backup is on disk before the first change, so that DEL restores everything whenever this
/// process is killed.
///
/// # Errors
/// What was tried and refused; everything is then as before, or the error says what is not.
pub fn add(plan: &Plan, request: &Request, store: &Store, ends: &mut Ends) -> Result<(), Error> {
    let attachment = &request.attachment;
    if plan.is_empty() {
        return Ok(());
    }
    let mut container = Container::open(&attachment.ifname)?;
    let actual = container.observe(plan, ends)?;
    let originals = Originals::of(plan, &actual, &attachment.ifname)?;
    let mut slot = store.slot()?;
    let before = slot.saved().map(|saved| saved.bytes.clone());
    let mut backup = backup(&originals, slot.saved(), &container, attachment)?;
    let text = backup.text();
    let is_new = before.as_deref() != Some(text.as_bytes());
    if is_new {
        store.write(&mut slot, text.as_bytes())?;
    }
    let mut changed = Originals::default();
    apply(plan, &actual, &originals, &mut container, &mut changed)
        .and_then(|()| switch(plan, &actual, &originals, ends, &mut changed))
        .and_then(|()| note_shown(plan, &mut backup, store, &mut slot))
        .map_err(|error| {
            let failures = restore::restore(&mut container, ends, &changed).failures;
            undo(error, failures, store, &mut slot, before.as_deref())
        })?;
    let mut differing = plan.differing(&actual);
    let offloads = plan.offloads_unmet(&actual)?.into_iter();
    differing.extend(offloads.map(|one| format!("{} {}", one.drift.object, one.drift.expected)));
    match differing {
        names if !names.is_empty() => request.log.changed(format!("set {}", names.join(", "))),
        _ if is_new => request.log.changed("saved the original values"),
        _ => {}
    }
    Ok(())
}

/// Completes the backup with how the kernel shows what was written, where it has words of its own.
fn note_shown(
    plan: &Plan,
    backup: &mut Backup,
    store: &Store,
    slot: &mut Slot,
) -> Result<(), Error> {
    let planned: HashSet<&Name> = plan.sysctls.iter().map(|setting| &setting.name).collect();
    let known = backup.shown.iter();
    let known = known.filter(|shown| !planned.contains(&shown.name));
    let mut shown: Vec<Shown> = known.cloned().collect();
    for Setting { name, value, .. } in &plan.sysctls {
        match kernel::read(name)? {
            Reading::Value(reads) if !meaning::same(&reads, value) => shown.push(Shown {
                name: name.clone(),
                written: value.clone(),
                reads,
            }),
            _ => {}
        }
    }
    if backup.shown == shown {
        return Ok(());
    }
    backup.shown = shown;
    store.write(slot, backup.text().as_bytes())
}

/// What shall be on disk: the originals known already, and the new ones. A backup of another
/// namespace belongs to an earlier container of the same ID, whose end we were not told.
fn backup(
    originals: &Originals,
    saved: Option<&Saved>,
    container: &Container,
    attachment: &Attachment,
) -> Result<Backup, Error> {
    let netns = container.netns_id()?;
    let known = match saved {
        // What a crash of the machine left of a file holds no record.
        Some(saved) if saved.bytes.iter().any(|byte| *byte != 0) => sound(saved)?,
        _ => Backup::default(),
    };
    let is_ours = known.netns.is_none() || netns.is_none() || known.netns == netns;
    let known = if is_ours { known } else { Backup::default() };
    Ok(Backup {
        owner: Some(attachment.clone()),
        netns,
        originals: known.originals.completed_by(originals),
        shown: known.shown,
    })
}

/// A backup that cannot be read may hold the only record of the original values: it is not ours to
/// overwrite. The DEL that follows a failed ADD removes it.
fn sound(saved: &Saved) -> Result<Backup, Error> {
    if saved.faults.is_empty() {
        return Ok(saved.backup.clone());
    }
    Err(Error::new(
        Code::Io,
        format!("read the backup {}", saved.path.display()),
    )
    .with_details(format!(
        "{}; run DEL for this attachment, or remove the file",
        saved.faults.join("; ")
    )))
}

/// Sets every value, noting the original of each before it is touched. Sysctls are written even when
/// they read right: one that is written before may change them.
fn apply(
    plan: &Plan,
    actual: &Actual,
    originals: &Originals,
    container: &mut Container,
    changed: &mut Originals,
) -> Result<(), Error> {
    // Both are in the plan's order; those without an original are left out in the second.
    let mut known = originals.sysctls.iter().peekable();
    for setting in &plan.sysctls {
        let original = known.next_if(|(name, _)| *name == setting.name);
        changed.sysctls.extend(original.cloned());
        kernel::write(&setting.name, &setting.value).context(Code::System, || {
            let shown = short(setting.name.shown(&setting.value));
            format!("set sysctl {} to {shown:?}", setting.name.text())
        })?;
    }
    let Some(link) = &actual.link else {
        return Ok(());
    };
    for change in &plan.link {
        let original = attribute::present(link, *change);
        if original == Some(*change) {
            continue;
        }
        changed.link.extend(original);
        container
            .change(link, *change)
            .context(Code::System, || kernel::tried(*change, &link.name))?;
    }
    Ok(())
}

/// Switches the offloads. One may stay off for another one that it needs, which the kernel does not say.
fn switch(
    plan: &Plan,
    actual: &Actual,
    originals: &Originals,
    ends: &mut Ends,
    changed: &mut Originals,
) -> Result<(), Error> {
    let values = plan.features(actual)?;
    if values.is_empty() {
        return Ok(());
    }
    changed.offloads.clone_from(&originals.offloads);
    for end in ends.iter_mut() {
        end.switch(&offload::of_side(&values, end.side))?;
    }
    let now = Actual {
        link: actual.link.clone(),
        sysctls: Vec::new(),
        ends: kernel::seen(ends)?,
    };
    match plan.offloads_unmet(&now)?.as_slice() {
        [] => Ok(()),
        unmet => {
            let drifts: Vec<String> = unmet.iter().map(|one| one.drift.to_string()).collect();
            let msg = "the kernel did not change every offload";
            Err(Error::new(Code::System, msg)
                .with_details(format!("{}; it may need another one", drifts.join("; "))))
        }
    }
}

/// Completes an error when `apply` was taken back. The backup becomes what it was, unless something
/// could not be put back: then it stays for DEL.
fn undo(
    error: Error,
    failures: Vec<Failure>,
    store: &Store,
    slot: &mut Slot,
    before: Option<&[u8]>,
) -> Error {
    if failures.is_empty() {
        let file = match before {
            Some(bytes) => store.write(slot, bytes),
            None => file::remove(&store.path(slot)),
        };
        return match file {
            Ok(()) => error,
            Err(failure) => error.and(failure),
        };
    }
    failures
        .into_iter()
        .fold(error, |error, failure| error.and(failure.error))
}
