//! Repairs what others change, as soon as they have done so.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`changes`] | what the kernel says has changed, and which plugins it concerns |
//! | [`pace`] | when to look |
//! | [`look`] | one look, and what is still to be done after it |
//! | [`again`] | when what failed is tried again |
//! | [`late`] | what is not yet in the cache when something changes |
//! | [`report`] | what is reported |
//! | [`manager`] | notifications to a service manager |
//! | [`wake`] | what is waited for |

pub mod again;
pub mod changes;
pub mod late;
pub mod look;
pub mod manager;
pub mod pace;
pub mod report;
pub mod wake;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::Error;

use crate::plugins::Plugin;
use changes::{Concern, Listener};
use look::Looker;
use manager::Manager;
use pace::{Pace, rest, settle};
use report::Line;
use wake::{Signals, Woken};

/// How often the sizes of legacy tables are looked at, where there are any.
const LEGACY: Duration = Duration::from_millis(500);

/// What is followed.
#[derive(Debug)]
pub struct Follow {
    /// The plugins whose attachments are repaired.
    pub plugins: Vec<Plugin>,
    /// Where the networks' configurations are, if those of the cache do not count.
    pub config_dir: Option<PathBuf>,
    /// libcni's cache.
    pub cache_dir: PathBuf,
    /// Where repairs are noted, for `metrics`.
    pub state_dir: PathBuf,
    /// How long a runtime may take for the rest of an ADD or DEL.
    pub grace: Duration,
}

struct State<'a> {
    plugins: Vec<Plugin>,
    print: &'a dyn Fn(&str),
    listener: Listener,
    looker: Looker,
    manager: Manager,
    pace: Pace,
    concern: Concern,
    /// When what has come is read, and when it was the last time.
    read_at: Option<Instant>,
    was_read_at: Option<Instant>,
    /// When the sizes of the legacy tables are looked at, and from when on their entries are, too.
    legacy_at: Option<Instant>,
    entries_at: Instant,
}

/// Follows until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from listening.
pub fn run(follow: Follow, print: &dyn Fn(&str)) -> Result<(), Error> {
    let signals = Signals::block()?;
    let mut state = State {
        plugins: follow.plugins.clone(),
        print,
        listener: Listener::new()?,
        looker: Looker::new(follow),
        manager: Manager::of_environment(),
        pace: Pace::default(),
        concern: Concern::default(),
        read_at: None,
        was_read_at: None,
        legacy_at: None,
        entries_at: Instant::now(),
    };
    // What there is already does not count as a change.
    state.look_at_legacy(Instant::now())?;
    state.concern = Concern::default();
    state.concerns(Concern::all("the start"));
    let first = state.look(Instant::now())?;
    if let Some(gone) = report::gone(&first.gone) {
        print(&gone);
    }
    state.manager.ready();
    loop {
        let (listener, until) = (state.hears().then_some(&state.listener), state.due());
        match wake::wait(&signals, listener, until)? {
            Woken::Ended => break,
            Woken::Reloaded => {
                state.looker.forget_failures();
                state.concerns(Concern::all("SIGHUP"));
                state.look(Instant::now())?;
            }
            Woken::Heard => {
                let now = Instant::now();
                state.read_at = Some(now + settle(state.was_read_at, now));
            }
            Woken::Due => {}
        }
        state.proceed(Instant::now())?;
    }
    state.manager.stopping();
    Ok(())
}

impl State<'_> {
    /// Whether notifications are waited for: while some wait to be read they are not.
    fn hears(&self) -> bool {
        self.read_at.is_none()
    }

    /// When there is something to do even if nothing else changes.
    fn due(&self) -> Option<Instant> {
        [
            self.read_at,
            self.legacy_at,
            self.look_due(),
            self.looker.due(),
            self.manager.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When to look: it is not quiet while something waits to be read.
    fn look_due(&self) -> Option<Instant> {
        let due = self.pace.due()?;
        Some(self.read_at.map_or(due, |read_at| read_at.max(due)))
    }

    /// Does what is due.
    fn proceed(&mut self, now: Instant) -> Result<(), Error> {
        if self.read_at.is_some_and(|at| at <= now) {
            self.read_at = None;
            self.was_read_at = Some(now);
            let concern = self.listener.read();
            self.concerns(concern);
            // A first legacy table comes with a container's link.
            if self.legacy_at.is_none() {
                self.look_at_legacy(now)?;
            }
        }
        if self.legacy_at.is_some_and(|at| at <= now) {
            self.legacy_at = Some(now + LEGACY);
            if self.entries_at <= now || self.listener.is_legacy_resized()? {
                self.look_at_legacy(now)?;
            }
        }
        let retries = self.looker.retries(now);
        self.concerns(retries);
        if self.look_due().is_some_and(|at| at <= now) {
            self.look(now)?;
        }
        if let Some(line) = self.looker.confirm(now) {
            (self.print)(&line);
        }
        self.manager.alive(now);
        Ok(())
    }

    fn concerns(&mut self, mut concern: Concern) {
        concern
            .plugins
            .retain(|plugin| self.plugins.contains(plugin));
        if !concern.is_empty() {
            self.concern.add(concern);
            self.pace.changed(Instant::now());
        }
    }

    fn look_at_legacy(&mut self, now: Instant) -> Result<(), Error> {
        let begun = Instant::now();
        let concern = self.listener.look_at_legacy()?;
        self.entries_at = now + rest(begun.elapsed());
        self.concerns(concern);
        self.legacy_at = self.listener.has_legacy().then(|| now + LEGACY);
        Ok(())
    }

    /// Looks at whatever is concerned, and reports it.
    fn look(&mut self, now: Instant) -> Result<Line, Error> {
        self.look_at_legacy(now)?;
        let concern = std::mem::take(&mut self.concern);
        let line = self.looker.look(&concern, now);
        let is_in_order = line.is_empty();
        self.pace.looked(now, Instant::now(), is_in_order);
        // What has changed in between is looked at once more.
        self.look_at_legacy(now)?;
        let after = self.listener.after_repairs(&line.repaired_by);
        self.concerns(after);
        if let Some(line) = line.after(&concern.causes) {
            (self.print)(&line);
        }
        Ok(line)
    }
}

/// An error of a system call.
fn failed(what: &str, errno: nix::errno::Errno) -> Error {
    Error::new(common::Code::System, what).with_details(io::Error::from(errno))
}
