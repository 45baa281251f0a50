//! Puts originals back.

use std::io;

use common::sys::link::Change;
use common::{Code, Error};
use nix::errno::Errno;

use crate::attribute;
use crate::kernel::{self, Container, Reading};
use crate::meaning;
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

/// Puts everything back that is not as it was, in reverse order, and goes on after a failure. What is
/// gone (the interface, or a sysctl with it) needs nothing.
pub fn restore(container: &mut Container, originals: &Originals) -> Vec<Failure> {
    let Originals { sysctls, link } = originals;
    let mut failures = restore_link(container, link);
    for (name, value) in sysctls.iter().rev() {
        if is_other(name, value) {
            // What fails here is tried again below, and told there.
            let _ = put(name, value);
        }
    }
    // Some sysctls set others (`conf/all/forwarding` all of `conf/*/forwarding`), so that one that was
    // right may no longer be. The other order then serves.
    let wrong = sysctls.iter().filter(|(name, value)| is_other(name, value));
    failures.extend(wrong.filter_map(|(name, value)| put(name, value).err()));
    failures
}

fn restore_link(container: &mut Container, changes: &[Change]) -> Vec<Failure> {
    if changes.is_empty() {
        return Vec::new();
    }
    let link = match container.link() {
        Ok(Some(link)) => link,
        Ok(None) => return Vec::new(),
        Err(error) => {
            return vec![Failure {
                error,
                is_final: false,
            }];
        }
    };
    let mut failures = Vec::new();
    for change in changes.iter().rev() {
        if attribute::present(&link, *change) == Some(*change) {
            continue;
        }
        match container.change(&link, *change) {
            Ok(()) => {}
            Err(refusal) if refusal.errno == Errno::ENODEV => return Vec::new(),
            Err(refusal) => failures.push(Failure {
                is_final: is_final(refusal.errno),
                error: Error::new(
                    Code::System,
                    format!("restore: {}", kernel::tried(*change, container.ifname())),
                )
                .with_details(refusal),
            }),
        }
    }
    failures
}

/// Whether a sysctl is there and reads otherwise.
fn is_other(name: &Name, value: &str) -> bool {
    match kernel::read(name) {
        Reading::Value(present) => !meaning::same(&present, value),
        Reading::Missing => false,
        Reading::WriteOnly | Reading::Unreadable(_) | Reading::Failed(_) => true,
    }
}

/// Writes a value, and looks whether the kernel has it then.
fn put(name: &Name, value: &str) -> Result<(), Failure> {
    match kernel::write(name, value) {
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
    match kernel::read(name) {
        Reading::Value(present) if !meaning::same(&present, value) => Err(Failure {
            is_final: true,
            error: failed(name, value).with_details(format!("it reads {present:?} after that")),
        }),
        _ => Ok(()),
    }
}

fn failed(name: &Name, value: &str) -> Error {
    Error::new(
        Code::System,
        format!("restore sysctl {} to {value:?}", name.text()),
    )
}

fn is_final(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EINVAL | Errno::ERANGE | Errno::EOPNOTSUPP | Errno::EADDRNOTAVAIL
    )
}
