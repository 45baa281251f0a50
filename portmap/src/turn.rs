//! One change of an attachment at a time.
//!
//! A runtime may kill a plugin and call DEL, while the `iptables-restore` that the plugin started
//! still runs: what that one adds would never be removed. So who changes an attachment holds a lock, and
//! where programs write its rules, these inherit it; the kernel frees it when the last of them is gone.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::error::Error;
use common::sys::lock::Children;
pub use common::turn::Turn;
use common::turn::Turns;
use common::{Attachment, Family};

/// Where the locks are, and for how long to wait.
const TURNS: Turns = Turns::new("/run/cni/portmap", PATIENCE);
/// How long to wait for the ones before: as long as one of their programs may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for who may be stopped, and whom nothing depends on.
const A_WHILE: Duration = Duration::from_secs(10);
/// When this process waited in vain for writers of nf_tables: one seems to be stopped, and a verb has several
/// batches.
static IN_VAIN: Mutex<Option<Instant>> = Mutex::new(None);
/// The most that who waits for one after the other of these waits, in the same unit.
const WHILES: u32 = 24;

/// Waits for those who change an attachment. Where programs write its rules, those started meanwhile have
/// part in the turn.
///
/// # Errors
/// Code 11 when others have it all the time.
pub fn of(attachment: &Attachment, children: Children) -> Result<Turn, Error> {
    TURNS.of(attachment, children)
}

/// Waits for those who write to nf_tables in this network namespace, as long as they come on: the
/// kernel refuses what is not based on its present state, so this spares work and no more. `state` is a
/// number that changes when one of them is done.
pub fn to_write<T: PartialEq>(mut state: impl FnMut() -> T) -> Turn {
    let last_in_vain = || IN_VAIN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_in_vain = last_in_vain().is_some_and(|at| at.elapsed() < PATIENCE);
    let patience = match is_in_vain {
        true => Duration::ZERO,
        false => A_WHILE,
    };
    let (mut last, mut left) = (None, WHILES);
    let goes_on = || {
        let now = Some(state());
        left -= 1;
        left > 0 && std::mem::replace(&mut last, now) != last
    };
    let children = Children::DoNotHold;
    let held = TURNS.take("writers of nf_tables", children, patience, goes_on);
    held.unwrap_or_else(|| {
        if !is_in_vain {
            *last_in_vain() = Some(Instant::now());
        }
        Turn::WITHOUT_LOCK
    })
}

/// Waits for those whose programs write the rules of both IP versions, a while: the newest owner of a port
/// is to be the same in both. That a stopped one delays the others is worse.
pub fn to_write_by_programs() -> Turn {
    let held = take("writers by programs", A_WHILE);
    held.unwrap_or(Turn::WITHOUT_LOCK)
}

/// Waits for those who try rules out in an IP version's tables: two at once would be in each other's way.
///
/// # Errors
/// Code 11 when others do so all the time.
pub fn to_try(family: Family) -> Result<Turn, Error> {
    take(&format!("scratch {family}"), PATIENCE).ok_or_else(|| {
        let tried = format!("wait for others that try conditions ({family})");
        TURNS.unending(tried)
    })
}

fn take(name: &str, patience: Duration) -> Option<Turn> {
    TURNS.take(name, Children::Hold, patience, || false)
}
