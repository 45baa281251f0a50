//! What a request leaves for operators beside its answer: one line when something was changed or
//! refused, one for each warning, on stderr and, with `logFile`, in a file. stdout belongs to the protocol.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`level`] | how much is logged |
//! | [`settings`] | the keys `logLevel` and `logFile` |
//! | [`report`] | what is known of a request when it is over, and its lines |
//! | [`line`](mod@line) | one line: `key=value`, bounded, that no value can break or forge |
//! | [`clock`] | points in time as text |
//! | [`trace`] | the trace that the runtime's call belongs to |

pub mod clock;
pub mod level;
pub mod line;
pub mod report;
pub mod settings;
pub mod trace;

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Collects what the verb of one request reports. Clones collect into the same place, from any
/// thread.
///
/// Nothing of it may be a secret: names and numbers, no values of sysctls, no `CNI_ARGS`.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    remarks: Remarks,
    /// What was reported, so that thousands of them take time in proportion to their number.
    said: HashSet<String>,
}

/// What was collected, in the order in which it was reported, nothing twice.
#[derive(Debug, Default)]
pub struct Remarks {
    /// What was changed, in a few words each.
    pub changes: Vec<String>,
    /// What should be looked at, though the request continues.
    pub warnings: Vec<Warning>,
}

/// Something that an operator should look at.
#[derive(Debug)]
pub struct Warning {
    /// When it was found.
    pub at: SystemTime,
    /// What it is.
    pub text: String,
}

impl Log {
    /// Something on this node is no longer as it was before the request, such as `set mtu of eth0`.
    pub fn changed(&self, what: impl Display) {
        let what = what.to_string();
        self.with(|collected| {
            if collected.said.insert(what.clone()) {
                collected.remarks.changes.push(what);
            }
        });
    }

    /// Something is wrong or unusual, but no reason to refuse the request.
    pub fn warn(&self, text: impl Display) {
        let (at, text) = (SystemTime::now(), text.to_string());
        self.with(|collected| {
            if collected.said.insert(text.clone()) {
                collected.remarks.warnings.push(Warning { at, text });
            }
        });
    }

    /// Everything so far; the log is empty after that.
    pub fn take(&self) -> Remarks {
        self.with(std::mem::take).remarks
    }

    fn with<T>(&self, action: impl FnOnce(&mut Collected) -> T) -> T {
        // What was collected is whole at any time, also if a thread panicked.
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_is_said_and_nothing_is_said_twice() {
        let log = Log::default();
        let other = log.clone();
        std::thread::spawn(move || {
            other.changed("a");
            other.warn("w");
        })
        .join()
        .unwrap();
        log.changed("b");
        log.changed("a");
        log.warn("w");
        let remarks = log.take();
        assert_eq!(remarks.changes, ["a", "b"]);
        assert_eq!(remarks.warnings.len(), 1);
        assert!(log.take().changes.is_empty());
    }
}
