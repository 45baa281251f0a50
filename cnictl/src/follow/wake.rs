//! What is waited for: signals, notifications, a time.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use common::Error;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::changes::Listener;
use super::failed;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// SIGTERM or SIGINT.
    Ended,
    /// SIGHUP.
    Reloaded,
    /// There are notifications.
    Heard,
    /// It is time.
    Due,
}

/// The signals that mean something.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Takes the signals, which from then on are waited for. As process 1 of a container a signal without
    /// a handler would be ignored.
    ///
    /// # Errors
    /// Code 100 where the kernel refuses.
    pub fn block() -> Result<Signals, Error> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            set.add(signal);
        }
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let blocked = set.thread_block();
        let taken = blocked.and_then(|()| SignalFd::with_flags(&set, flags));
        taken
            .map(Signals)
            .map_err(|errno| failed("take signals", errno))
    }

    fn next(&self) -> Result<Option<Woken>, Errno> {
        let Some(came) = self.0.read_signal()? else {
            return Ok(None);
        };
        Ok(Some(match came.ssi_signo.cast_signed() {
            libc::SIGHUP => Woken::Reloaded,
            _ => Woken::Ended,
        }))
    }
}

/// Waits for a signal, a notification, or until a time; without one for ever.
///
/// # Errors
/// Code 100 where the kernel refuses.
pub fn wait(
    signals: &Signals,
    listener: Option<&Listener>,
    until: Option<Instant>,
) -> Result<Woken, Error> {
    let sockets = listener.into_iter().flat_map(Listener::fds);
    let all: Vec<BorrowedFd<'_>> = [signals.0.as_fd()].into_iter().chain(sockets).collect();
    let mut all: Vec<PollFd<'_>> = all
        .into_iter()
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    let came = match poll(&mut all, timeout(until)) {
        Err(Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno),
        Ok(_) => signals.next(),
    };
    if let Some(woken) = came.map_err(|errno| failed("wait for changes", errno))? {
        return Ok(woken);
    }
    let is_heard = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
    Ok(match all.iter().skip(1).any(is_heard) {
        true => Woken::Heard,
        false => Woken::Due,
    })
}

/// Until then, in whole milliseconds, and not before.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now());
    let left = left.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}
