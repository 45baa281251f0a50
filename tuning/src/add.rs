//! ADD: saves the originals, then sets every value, or none.

use common::{Attachment, Code, Context, Error, Request};

use crate::attribute;
use crate::backup::{Backup, Shown, Store};
use crate::config::Setting;
use crate::kernel::{self, Actual, Container, Reading};
use crate::meaning;
use crate::originals::Originals;
use crate::plan::Plan;
use crate::restore;

/// Carries out the plan in the calling thread's namespace.
///
/// The backup is on disk before the first change, so that DEL restores everything whenever this
/// process is killed.
///
/// # Errors
/// What was tried and refused; everything is then as before, or the error says what is not.
pub fn add(plan: &Plan, request: &Request, store: &Store) -> Result<(), Error> {
    let attachment = &request.attachment;
    if plan.is_empty() {
        return Ok(());
    }
    let mut container = Container::open(&attachment.ifname)?;
    let actual = container.observe(plan)?;
    let originals = Originals::of(plan, &actual, &attachment.ifname)?;
    let saved = store.read()?;
    let mut backup = backup(&originals, saved.as_deref(), &container, attachment, store)?;
    let text = backup.text();
    let is_new = saved.as_deref() != Some(text.as_bytes());
    if is_new {
        store.write(text.as_bytes())?;
    }
    let mut changed = Originals::default();
    apply(plan, &actual, &originals, &mut container, &mut changed)
        .and_then(|()| note_shown(plan, &mut backup, store))
        .map_err(|error| undo(error, &changed, &mut container, store, saved.as_deref()))?;
    match plan.differing(&actual) {
        names if !names.is_empty() => request.log.changed(format!("set {}", names.join(", "))),
        _ if is_new => request.log.changed("saved the original values"),
        _ => {}
    }
    Ok(())
}

/// Completes the backup with how the kernel shows what was written, where it has words of its own.
fn note_shown(plan: &Plan, backup: &mut Backup, store: &Store) -> Result<(), Error> {
    let before = backup.shown.clone();
    for Setting { name, value, .. } in &plan.sysctls {
        backup.shown.retain(|shown| shown.name != *name);
        match kernel::read(name) {
            Reading::Value(reads) if !meaning::same(&reads, value) => backup.shown.push(Shown {
                name: name.clone(),
                written: value.clone(),
                reads,
            }),
            _ => {}
        }
    }
    if backup.shown == before {
        return Ok(());
    }
    store.write(backup.text().as_bytes())
}

/// What shall be on disk: the originals known already, and the new ones. A backup of another
/// namespace belongs to an earlier container of the same ID, whose end we were not told.
fn backup(
    originals: &Originals,
    saved: Option<&[u8]>,
    container: &Container,
    attachment: &Attachment,
    store: &Store,
) -> Result<Backup, Error> {
    let netns = container.netns_id();
    let known = match saved {
        // What a crash of the machine left of a file holds no record.
        Some(bytes) if bytes.iter().any(|byte| *byte != 0) => parse(bytes, store)?,
        _ => Backup::default(),
    };
    let is_ours = known.netns.is_none() || netns.is_none() || known.netns == netns;
    let known = if is_ours { known } else { Backup::default() };
    Ok(Backup {
        network: Some(attachment.network.clone()),
        netns,
        originals: known.originals.completed_by(originals),
        shown: known.shown,
    })
}

/// A backup that cannot be read may hold the only record of the original values: it is not ours to
/// overwrite. The DEL that follows a failed ADD removes it.
fn parse(bytes: &[u8], store: &Store) -> Result<Backup, Error> {
    match Backup::parse(bytes) {
        (backup, faults) if faults.is_empty() => Ok(backup),
        (_, faults) => Err(Error::new(
            Code::Io,
            format!("read the backup {}", store.path().display()),
        )
        .with_details(format!(
            "{}; DEL of this attachment, or removing the file, helps",
            faults.join("; ")
        ))),
    }
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
    for setting in &plan.sysctls {
        let original = originals
            .sysctls
            .iter()
            .find(|(name, _)| *name == setting.name);
        changed.sysctls.extend(original.cloned());
        kernel::write(&setting.name, &setting.value).context(Code::System, || {
            let shown = setting.name.shown(&setting.value);
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

/// Puts back what `apply` changed. The backup becomes what it was, unless something could not be put
/// back: then it stays for DEL.
fn undo(
    error: Error,
    changed: &Originals,
    container: &mut Container,
    store: &Store,
    saved: Option<&[u8]>,
) -> Error {
    let failures = restore::restore(container, changed).failures;
    if failures.is_empty() {
        let file = match saved {
            Some(bytes) => store.write(bytes),
            None => store.remove(),
        };
        return file.map_or_else(|failure| error.clone().and(failure), |()| error.clone());
    }
    failures
        .into_iter()
        .fold(error, |error, failure| error.and(failure.error))
}
