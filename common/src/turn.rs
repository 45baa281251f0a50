//! Whose turn it is to change something.
//!
//! All locks of a plugin are bytes of one file in a directory of root's, so that nobody else can take one, and
//! nothing grows. The directory is the machine's while what is changed is seen from a network namespace: the byte
//! depends on the namespace.

use std::fs;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::attachment::Attachment;
use crate::error::{Code, Error};
use crate::request::Request;
use crate::sys::lock::{self, Children};

/// The file's name.
const FILE: &str = "lock";
/// Characters of an attachment's turn.
pub const NAME: usize = 32;
/// The network namespace of the calling thread.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// The right to change something, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// `None` on a node that does not let us lock, such as one with a read-only /run.
    _held: Option<File>,
}

impl Turn {
    /// Of a process that need not wait, or waited long enough.
    pub const WITHOUT_LOCK: Turn = Turn { _held: None };
}

/// The turns of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct Turns {
    /// Where the file is.
    directory: &'static str,
    /// How long to wait for the ones before.
    patience: Duration,
}

impl Turns {
    /// Those in a directory.
    pub const fn new(directory: &'static str, patience: Duration) -> Turns {
        Turns {
            directory,
            patience,
        }
    }

    /// Waits for those who change an attachment.
    ///
    /// # Errors
    /// Code 11 when others have the turn all the time.
    pub fn of(&self, attachment: &Attachment, children: Children) -> Result<Turn, Error> {
        let turn = self.take(&name(attachment), children, self.patience, || false);
        turn.ok_or_else(|| self.unending(format!("wait for another change of {attachment}")))
    }

    /// The same for who continues, with a warning, where others have the turn all the time: nothing may keep DEL from
    /// removing.
    pub fn of_del(&self, request: &Request) -> Turn {
        let turn = self.of(&request.attachment, Children::DoNotHold);
        turn.unwrap_or_else(|error| {
            request.log.warn(format!("{error}; DEL continues"));
            Turn::WITHOUT_LOCK
        })
    }

    /// The turn of a [`name`], unless another process has it now.
    pub fn at_once(&self, name: &str) -> Option<Turn> {
        self.take(name, Children::DoNotHold, Duration::ZERO, || false)
    }

    /// Takes the turn of a name in this network namespace. `None` when others have it for all of `patience`, and
    /// `goes_on` does not say to wait as long again.
    pub fn take(
        &self,
        name: &str,
        children: Children,
        patience: Duration,
        goes_on: impl FnMut() -> bool,
    ) -> Option<Turn> {
        let Ok(file) = lock::open(Path::new(self.directory), FILE, children) else {
            return Some(Turn::WITHOUT_LOCK);
        };
        match lock::region(&file, number(name), patience, goes_on) {
            Ok(true) => Some(Turn { _held: Some(file) }),
            Ok(false) => None,
            Err(_) => Some(Turn::WITHOUT_LOCK),
        }
    }

    /// The error of who waited in vain.
    pub fn unending(&self, tried: String) -> Error {
        let Turns {
            directory,
            patience,
        } = self;
        let seconds = patience.as_secs();
        Error::new(Code::TryAgainLater, tried).with_details(format!(
            "it has not finished within {seconds} seconds: try again, or end the process that has \
             {directory}/{FILE} open"
        ))
    }
}

/// The name of an attachment's turn: the beginning of what [`Attachment::exact_name`] gives.
pub fn name(attachment: &Attachment) -> String {
    attachment.exact_name("", NAME)
}

/// Numbers that a name has for itself, as hashes go.
fn number(name: &str) -> u64 {
    let namespace = fs::metadata(NAMESPACE).map_or((0, 0), |meta| (meta.dev(), meta.ino()));
    let text = format!("{namespace:?} {name}");
    let hash = crate::hash::sha512(&[text.as_bytes()]);
    let first = hash.get(..16).unwrap_or_default();
    u64::from_str_radix(first, 16).unwrap_or(0)
}
