//! ADD: saves the originals, then sets every value, or none.

use std::collections::{HashMap, HashSet};

use common::error::short;
use common::mac::Mac;
use common::sys::file;
use common::sys::link::{self, Link};
use common::{Attachment, Code, Context, Drift, Error, Request, step};

use crate::attribute;
use crate::backup::{Backup, Saved, Shown, Slot, Store};
use crate::change::{Change, Step};
use crate::config::Setting;
use crate::diff;
use crate::meaning;
use crate::observe::{self, Actual, Container, Reading};
use crate::offload::{self, ends::Ends};
use crate::originals::Originals;
use crate::plan::Plan;
use crate::restore;
use crate::sysctl::Name;

/// What undoes an ADD: the values, and the backup, become what they were.
#[derive(Debug)]
pub struct Undo {
    container: Container,
    changed: Originals,
    store: Store,
    slot: Slot,
    before: Option<Vec<u8>>,
}

impl Undo {
    /// Undoes it in the calling thread's namespace. Where a value could not be put back, the backup stays
    /// for DEL.
    ///
    /// # Errors
    /// Everything that could not be put back.
    pub fn run(&mut self, ends: &mut Ends) -> Result<(), Error> {
        let Undo {
            container,
            changed,
            store,
            slot,
            before,
        } = self;
        let failures = restore::restore(container, ends, changed).failures;
        let failures: Vec<Error> = failures.into_iter().map(|failure| failure.error).collect();
        match (Error::all(failures), before) {
            (Some(error), _) => Err(error),
            (None, Some(bytes)) => store.write(slot, bytes),
            (None, None) => file::remove(&store.path(slot)),
        }
    }
}

/// Carries out the plan in the calling thread's namespace. Gives what undoes it, unless there was nothing
/// to do.
///
/// The backup is on disk before the first change, so that DEL restores everything whenever this
/// process is killed.
///
/// # Errors
/// What was tried and refused; everything is then as before, or the error says what is not.
pub fn apply(
    plan: &Plan,
    request: &Request,
    store: Store,
    ends: &mut Ends,
) -> Result<Option<Undo>, Error> {
    let attachment = &request.attachment;
    if plan.is_empty() {
        return Ok(None);
    }
    let mut container = Container::open(&attachment.ifname)?;
    let actual = container.observe(plan, ends)?;
    is_possible(plan, &actual, &attachment.ifname)?;
    let steps = diff::steps(plan, &actual, &attachment.ifname, &[])?;
    let originals = Originals::of(steps.iter().filter_map(|step| step.undo.as_ref()));
    let mut slot = store.slot()?;
    let before = slot.saved().map(|saved| saved.bytes.clone());
    let mut backup = backup(&originals, slot.saved(), &container, attachment)?;
    let text = backup.text();
    let is_new = before.as_deref() != Some(text.as_bytes());
    if is_new {
        store.write(&mut slot, text.as_bytes())?;
    }
    let mut touched = 0;
    let made = make(&steps, &actual, &mut container, &mut touched).and_then(|shown| {
        switch(plan, &steps, actual.link, ends)?;
        for warning in overwritten(plan, &shown)? {
            request.log.warn(warning);
        }
        note_shown(plan, shown, &mut backup, (&store, &mut slot))
    });
    let steps_made = steps.iter().take(touched);
    // What is set beside a sysctl has no change of its own.
    let is_made =
        |step: &&Step| step.change.is_some() || matches!(step.undo, Some(Change::Sysctl(..)));
    let undos = steps_made.filter(is_made);
    let mut undo = Undo {
        changed: Originals::of(undos.filter_map(|step| step.undo.as_ref())),
        container,
        store,
        slot,
        before,
    };
    if let Err(error) = made {
        return Err(match undo.run(ends) {
            Ok(()) => error,
            Err(also) => error.and(also),
        });
    }
    match steps.iter().filter_map(said).collect::<Vec<_>>().join(", ") {
        names if !names.is_empty() => request.log.changed(format!("set {names}")),
        _ if is_new => request.log.changed("saved the original values"),
        _ => {}
    }
    Ok(Some(undo))
}

/// What the log says of a step; nothing where the value was the same before.
fn said(step: &Step) -> Option<String> {
    let is_other = step.drift.is_some() || step.undo.is_none();
    let change = step.change.as_ref().filter(|_| is_other)?;
    Some(match (change, &step.drift) {
        (Change::Offload(..), Some(drift)) => format!("{} {}", drift.object, drift.expected),
        (Change::Sysctl(name, _), _) => format!("sysctl {}", name.text()),
        (Change::Link(change), _) => {
            format!("{} {}", attribute::name(*change), attribute::value(*change))
        }
        (Change::Offload(..), None) => return None,
    })
}

/// Whether the plan can be carried out.
///
/// # Errors
/// Code 7 for a sysctl that does not exist, code 100 for an interface that is not there or has no such
/// attribute.
fn is_possible(plan: &Plan, actual: &Actual, ifname: &str) -> Result<(), Error> {
    let mut sysctls = plan.sysctls.iter().zip(&actual.sysctls);
    let is_absent = |(setting, reading): &(&Setting, &Reading)| {
        let link = actual.link.as_ref();
        **reading == Reading::Missing && !plan.has_taken_away(&setting.name, link)
    };
    if let Some((setting, _)) = sysctls.find(is_absent) {
        let written = &setting.written;
        let msg = format!("sysctl {written} does not exist in the container's namespace");
        let details = format!("there is no {}", setting.name.path().display());
        return Err(Error::new(Code::InvalidConfig, msg).with_details(details));
    }
    let mut names = plan.link.iter().map(|change| attribute::name(*change));
    let offloads = plan.offloads.first().map(|_| "offloads");
    let (refused, why) = match &actual.link {
        None => {
            let why = format!("the container has no interface {ifname}");
            (names.next().or(offloads), why)
        }
        Some(link) => {
            let is_absent = |change: &&link::Change| attribute::present(link, **change).is_none();
            let is_for_good = |change: &&link::Change| {
                matches!(change, link::Change::Mac(_)) && link.mac == Some(Mac::ZERO)
            };
            match (
                plan.link.iter().find(is_absent),
                plan.link.iter().find(is_for_good),
            ) {
                (Some(change), _) => {
                    let why = "the interface has no Ethernet address".to_owned();
                    (Some(attribute::name(*change)), why)
                }
                (None, change) => {
                    let why = "its all-zero address could not be restored".to_owned();
                    (change.map(|change| attribute::name(*change)), why)
                }
            }
        }
    };
    match refused {
        None => Ok(()),
        Some(what) => {
            let tried = format!("set {what} on {ifname}");
            Err(Error::new(Code::System, tried).with_details(why))
        }
    }
}

/// Completes the backup with how the kernel shows what was written, where it has words of its own.
fn note_shown(
    plan: &Plan,
    new: Vec<Shown>,
    backup: &mut Backup,
    (store, slot): (&Store, &mut Slot),
) -> Result<(), Error> {
    let planned: HashSet<&Name> = plan.sysctls.iter().map(|setting| &setting.name).collect();
    let known = backup.shown.iter();
    let known = known.filter(|shown| !planned.contains(&shown.name));
    let shown: Vec<Shown> = known.cloned().chain(new).collect();
    if backup.shown == shown {
        return Ok(());
    }
    backup.shown = shown;
    store.write(slot, backup.text().as_bytes())
}

/// What shall be on disk: the originals known already, and the new ones. A backup of another
/// namespace belongs to an earlier container of the same ID, for which there was no DEL.
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
    let mut originals = originals.clone();
    // An earlier ADD set the MTU of IPv6 with the link's: they were the same, or the backup had it.
    if let Some(mtu) = known.originals.mtu() {
        let name = Name::beside_mtu(&attachment.ifname);
        let of_ipv6 = originals.sysctls.iter_mut().find(|(of, _)| *of == name);
        if let Some((_, value)) = of_ipv6 {
            *value = mtu.to_string();
        }
    }
    Ok(Backup {
        owner: Some(attachment.clone()),
        netns,
        originals: known.originals.completed_by(&originals),
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

/// Sets sysctls and attributes of the link. `touched` counts the steps that may have been made. Gives how
/// the kernel shows values, where it has words of its own.
fn make(
    steps: &[Step],
    actual: &Actual,
    container: &mut Container,
    touched: &mut usize,
) -> Result<Vec<Shown>, Error> {
    let mut shown = Vec::new();
    for step in steps {
        *touched += 1;
        match (&step.change, &actual.link) {
            (Some(Change::Sysctl(name, value)), _) => shown.extend(write(name, value)?),
            (Some(Change::Link(change)), Some(link)) => container
                .change(link, *change)
                .context(Code::System, || observe::tried(*change, &link.name))?,
            _ => {}
        }
    }
    Ok(shown)
}

/// Writes a sysctl. Gives how the kernel shows it, where it has words of its own: that is read at once, as
/// the next one written may set this one too.
fn write(name: &Name, value: &str) -> Result<Option<Shown>, Error> {
    observe::write(name, value).context(Code::System, || {
        let shown = short(name.shown(value));
        format!("set sysctl {} to {shown:?}", name.text())
    })?;
    Ok(match observe::read(name)? {
        Reading::Value(reads) if !meaning::same(&reads, value) => Some(Shown {
            name: name.clone(),
            written: value.to_owned(),
            reads,
        }),
        _ => None,
    })
}

/// A warning about each sysctl that a later change of the same plan has set too: `conf/all/forwarding` sets
/// all of `conf/*/forwarding`, and the MTU of a link that of IPv6, or takes IPv6 from it (`addrconf_notify` in
/// net/ipv6/addrconf.c). The order is the configuration's.
fn overwritten(plan: &Plan, shown: &[Shown]) -> Result<Vec<String>, Error> {
    let shown: HashMap<&Name, &Shown> = shown.iter().map(|s| (&s.name, s)).collect();
    let mut warnings = Vec::new();
    for Setting { name, value, .. } in &plan.sysctls {
        let is_shown = |reads: &str| shown.get(name).is_some_and(|s| s.is_of(value, reads));
        match observe::read(name)? {
            Reading::Value(reads) if !meaning::same(&reads, value) && !is_shown(&reads) => {
                let [value, reads] = [value, &reads].map(|text| short(name.shown(text)));
                warnings.push(format!(
                    "sysctl {} was set to {value:?}, but now reads {reads:?}, because another sysctl of the \
                     configuration also sets it: write it after that one",
                    name.text()
                ));
            }
            Reading::Missing => warnings.push(format!(
                "sysctl {} was set and is gone now: the kernel takes IPv6 from an interface whose MTU is \
                 below 1280",
                name.text()
            )),
            _ => {}
        }
    }
    Ok(warnings)
}

/// Switches the offloads, all of an interface at once. One may stay off for another one that it needs,
/// which the kernel does not say.
fn switch(plan: &Plan, steps: &[Step], link: Option<Link>, ends: &mut Ends) -> Result<(), Error> {
    let changes = steps.iter().filter_map(|step| step.change.as_ref());
    let values = Originals::of(changes).offloads;
    if values.is_empty() {
        return Ok(());
    }
    for end in ends.iter_mut() {
        end.switch(&offload::of_side(&values, end.side))?;
    }
    let now = Actual {
        link,
        sysctls: Vec::new(),
        beside: Vec::new(),
        beside_mtu: None,
        ends: observe::seen(ends)?,
    };
    match step::drifts(diff::offloads(plan, &now)?).as_slice() {
        [] => Ok(()),
        unmet => {
            let drifts: Vec<String> = unmet.iter().map(Drift::to_string).collect();
            let msg = "the kernel did not change every offload";
            Err(Error::new(Code::System, msg)
                .with_details(format!("{}; it may need another one", drifts.join("; "))))
        }
    }
}
