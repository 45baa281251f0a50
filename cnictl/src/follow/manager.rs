//! Notifications to a service manager, where there is one: sd_notify(3).

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service manager; none where the environment names none.
#[derive(Debug)]
pub struct Manager {
    /// How often it wants a sign of life: twice in the time that it waits for one.
    every: Option<Duration>,
    at: Option<Instant>,
}

impl Manager {
    /// The one that the environment names.
    pub fn of_environment() -> Manager {
        let mut microseconds = 0;
        let has_watchdog = sd_notify::watchdog_enabled(false, &mut microseconds);
        Manager {
            every: has_watchdog.then(|| Duration::from_micros(microseconds / 2)),
            at: None,
        }
    }

    /// When the next sign of life is due.
    pub fn due(&self) -> Option<Instant> {
        self.at
    }

    /// It listens, and all was in order or is repaired.
    pub fn ready(&mut self) {
        notify(&[NotifyState::Ready]);
        self.at = self.every.map(|every| Instant::now() + every);
    }

    /// A sign of life, where one is due.
    pub fn alive(&mut self, now: Instant) {
        if self.at.is_some_and(|at| at <= now) {
            notify(&[NotifyState::Watchdog]);
            self.at = self.every.map(|every| now + every);
        }
    }

    /// It ends.
    pub fn stopping(&self) {
        notify(&[NotifyState::Stopping]);
    }
}

/// A failure is left to the manager: it ends a service from which it gets no notification, and logs why.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(false, states);
}
