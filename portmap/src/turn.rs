//! One change of an attachment at a time.
//!
//! A runtime may kill a plugin and call DEL, while the `iptables-restore` that the plugin started
//! still runs: what that one adds would never be removed. So who changes an attachment holds a lock, and
//! where programs write its rules, these inherit it; the kernel frees it when the last of them is gone.
//!
//! All locks are bytes of one file in a directory of root's, so that nobody else can take one, and
//! nothing grows. The directory is the machine's while rules are a network namespace's: the byte
//! depends on the namespace.

use std::fs;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use common::error::{Code, Error};
use common::sys::lock::{self, Children};
use common::{Attachment, Family};

/// Where the file is.
const DIRECTORY: &str = "/run/cni/portmap";
const FILE: &str = "lock";
/// The network namespace that rules are in.
const NAMESPACE: &str = "/proc/thread-self/ns/net";
/// How long to wait for the ones before: as long as one of their programs may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for who may be stopped, and whom nothing depends on.
const A_WHILE: Duration = Duration::from_secs(10);
/// The most that who waits for one after the other of these waits, in the same unit.
const WHILES: u32 = 24;

/// The right to change something, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// `None` on a node that does not let us lock, such as one with a read-only /run.
    _held: Option<File>,
}

impl Turn {
    /// Waits for those who change an attachment. Where programs write its rules, those started meanwhile have
    /// part in the turn.
    ///
    /// # Errors
    /// Code 11 when others have it all the time.
    pub fn of(attachment: &Attachment, children: Children) -> Result<Turn, Error> {
        let name = attachment.exact_name("", 32);
        let turn = take(&name, children, PATIENCE);
        turn.map_err(|()| unending(format!("wait for another change of {attachment}")))
    }

    /// Waits for those who write to nf_tables in this network namespace, as long as they come on: the
    /// kernel refuses what is not based on its present state, so this spares work and no more. `state` is a
    /// number that changes when one of them is done.
    pub fn to_write<T: PartialEq>(mut state: impl FnMut() -> T) -> Turn {
        let (mut last, mut left) = (None, WHILES);
        let goes_on = || {
            let now = Some(state());
            left -= 1;
            left > 0 && std::mem::replace(&mut last, now) != last
        };
        let held = take_while(
            "writers of nf_tables",
            Children::DoNotHold,
            A_WHILE,
            goes_on,
        );
        held.unwrap_or(Turn { _held: None })
    }

    /// Waits for those whose programs write the rules of both IP versions, a while: the newest owner of a port
    /// is to be the same in both. That a stopped one delays the others is worse.
    pub fn to_write_by_programs() -> Turn {
        let held = take("writers by programs", Children::Hold, A_WHILE);
        held.unwrap_or(Turn { _held: None })
    }

    /// Waits for those who try rules out in an IP version's tables: two at once would be in each other's way.
    ///
    /// # Errors
    /// Code 11 when others do so all the time.
    pub fn to_try(family: Family) -> Result<Turn, Error> {
        let turn = take(&format!("scratch {family}"), Children::Hold, PATIENCE);
        turn.map_err(|()| unending(format!("wait for others that try conditions ({family})")))
    }
}

fn unending(tried: String) -> Error {
    let details = format!("it has not finished within {} seconds", PATIENCE.as_secs());
    Error::new(Code::TryAgainLater, tried).with_details(details)
}

/// Takes the turn of a name in this network namespace.
fn take(name: &str, children: Children, patience: Duration) -> Result<Turn, ()> {
    take_while(name, children, patience, || false)
}

/// As [`take`], but waits on after each `patience` as long as its caller wants.
fn take_while(
    name: &str,
    children: Children,
    patience: Duration,
    goes_on: impl FnMut() -> bool,
) -> Result<Turn, ()> {
    let Ok(file) = lock::open(Path::new(DIRECTORY), FILE, children) else {
        return Ok(Turn { _held: None });
    };
    match lock::region(&file, number(name), patience, goes_on) {
        Ok(true) => Ok(Turn { _held: Some(file) }),
        Ok(false) => Err(()),
        Err(_) => Ok(Turn { _held: None }),
    }
}

/// Numbers that a name has for itself, as hashes go.
fn number(name: &str) -> u64 {
    let namespace = fs::metadata(NAMESPACE).map_or((0, 0), |meta| (meta.dev(), meta.ino()));
    let text = format!("{namespace:?} {name}");
    let hash = common::hash::sha512(&[text.as_bytes()]);
    let first = hash.get(..16).unwrap_or_default();
    u64::from_str_radix(first, 16).unwrap_or(0)
}
