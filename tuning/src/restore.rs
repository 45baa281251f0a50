//! Puts originals back.

use std::collections::HashSet;
use std::io;

use common::error::short;
use common::sys::link::Change;
use common::{Code, Error};
use nix::errno::Errno;

use crate::attribute;
use crate::meaning;
use crate::observe::{self, Container, Reading};
use crate::offload::ends::Ends;
use crate::offload::{self, Side, Value};
use crate::originals::Originals;
use crate::sysctl::Name;

/// A value that could not be put back.
#[derive(Debug)]
pub struct Failure {
    /// Which one, and why.
    pub error: Error,
    /// Whether trying again is pointless: the kernel does not take such a value.
    pub is_final: bool,
}

/// What became of the originals.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The names of what was put back.
    pub restored: Vec<String>,
    /// What could not be put back.
    pub failures: Vec<Failure>,
}

/// Puts everything back that is not as it was, in reverse order, and continues after a failure. What is
/// gone (the interface, or a sysctl with it) needs nothing.
pub fn restore(container: &mut Container, ends: &mut Ends, originals: &Originals) -> Outcome {
    let Originals {
        sysctls,
        link,
        offloads,
    } = originals;
    let mut outcome = Outcome::default();
    restore_offloads(ends, offloads, &mut outcome);
    restore_link(container, link, &mut outcome);
    let mut touched: Vec<&Name> = Vec::new();
    for (name, value) in sysctls.iter().rev() {
        if is_other(name, value) {
            // What fails here is tried again below, and reported there.
            let _ = put(name, value);
            touched.push(name);
        }
    }
    // Some sysctls set others (`conf/all/forwarding` all of `conf/*/forwarding`), so that one that was
    // right may no longer be. The other order then serves.
    let mut failed: HashSet<&Name> = HashSet::new();
    for (name, value) in sysctls.iter().filter(|(name, value)| is_other(name, value)) {
        match put(name, value) {
            Ok(()) => touched.push(name),
            Err(failure) => {
                failed.insert(name);
                outcome.failures.push(failure);
            }
        }
    }
    let mut seen: HashSet<&Name> = HashSet::new();
    touched.retain(|name| !failed.contains(name) && seen.insert(name));
    let names = touched.iter().map(|name| format!("sysctl {}", name.text()));
    outcome.restored.extend(names);
    outcome
}

fn restore_offloads(ends: &mut Ends, offloads: &[(Side, Value)], outcome: &mut Outcome) {
    for end in ends {
        match end.switch(&offload::of_side(offloads, end.side)) {
            Ok(false) => {}
            Ok(true) => outcome
                .restored
                .push(format!("offloads of {}", end.link.name)),
            Err(error) => outcome.failures.push(Failure {
                error,
                is_final: false,
            }),
        }
    }
}

fn restore_link(container: &mut Container, changes: &[Change], outcome: &mut Outcome) {
    if changes.is_empty() {
        return;
    }
    let link = match container.link() {
        Ok(Some(link)) => link,
        Ok(None) => return,
        Err(error) => {
            let is_final = false;
            return outcome.failures.push(Failure { error, is_final });
        }
    };
    for change in changes.iter().rev() {
        if attribute::present(&link, *change) == Some(*change) {
            continue;
        }
        match container.change(&link, *change) {
            Ok(()) => outcome.restored.push(attribute::name(*change).into()),
            // The interface is gone, and its failures with it.
            Err(refusal) if refusal.errno == Errno::ENODEV => return outcome.failures.clear(),
            Err(refusal) => outcome.failures.push(Failure {
                is_final: is_final(refusal.errno),
                error: Error::new(
                    Code::System,
                    format!("restore: {}", observe::tried(*change, container.ifname())),
                )
                .with_details(refusal),
            }),
        }
    }
}

/// Whether a sysctl is there and reads otherwise.
fn is_other(name: &Name, value: &str) -> bool {
    match observe::read(name) {
        Ok(Reading::Value(present)) => !meaning::same(&present, value),
        Ok(Reading::Missing) => false,
        Ok(Reading::WriteOnly | Reading::Unreadable(_)) | Err(_) => true,
    }
}

/// Writes a value, and looks whether the kernel has it then.
fn put(name: &Name, value: &str) -> Result<(), Failure> {
    match observe::write(name, value) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => {
            let errno = cause.raw_os_error().map(Errno::from_raw);
            return Err(Failure {
                is_final: errno.is_some_and(is_final),
                error: failed(name, value).with_details(cause),
            });
        }
        Ok(()) => {}
    }
    match observe::read(name) {
        Ok(Reading::Value(present)) if !meaning::same(&present, value) => {
            let present = short(name.shown(&present)).into_owned();
            Err(Failure {
                is_final: true,
                error: failed(name, value).with_details(format!("afterwards it reads {present:?}")),
            })
        }
        // The kernel took the write.
        _ => Ok(()),
    }
}

fn failed(name: &Name, value: &str) -> Error {
    Error::new(
        Code::System,
        format!(
            "restore sysctl {} to {:?}",
            name.text(),
            short(name.shown(value))
        ),
    )
}

fn is_final(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EINVAL | Errno::ERANGE | Errno::EOPNOTSUPP | Errno::EADDRNOTAVAIL
    )
}
