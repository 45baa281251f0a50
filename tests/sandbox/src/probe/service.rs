//! A thread in a namespace that serves until it is told to stop.

use std::fs::File;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::namespace::Namespace;

/// The address a server binds: every one of the namespace, of both families.
pub(super) fn anywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// The running thread. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub(super) struct Service {
    thread: Option<JoinHandle<()>>,
    /// While this end of the pipe is open the thread goes on.
    alive: Option<OwnedFd>,
}

/// The thread's view of its end.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pipe: Arc<File>,
}

impl Service {
    pub(super) fn start(
        namespace: &Namespace,
        body: impl FnOnce(&Stop) + Send + 'static,
    ) -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        let stop = Stop {
            pipe: Arc::new(File::from(OwnedFd::from(read))),
        };
        let namespace = namespace.clone();
        let thread = thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || {
                namespace.enter();
                body(&stop);
            })?;
        Ok(Self {
            thread: Some(thread),
            alive: Some(write.into()),
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; a drop must not add one.
            let _ = thread.join();
        }
    }
}

/// What ended a wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// There is something to read on the descriptor of this place in the list.
    Readable(usize),
    /// The time is up.
    Timeout,
    /// The service is to end.
    Stop,
}

impl Stop {
    /// Waits until one of `sources` can be read, at most for `timeout`, or the service is to end.
    pub(super) fn wait(&self, sources: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Event {
        let mut fds: Vec<_> = sources
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        fds.push(PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN));
        let timeout = timeout.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Event::Timeout,
            Ok(_) => {}
            Err(_) => return Event::Stop,
        }
        let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        match fds.iter().rposition(ready) {
            Some(place) if place < sources.len() => Event::Readable(place),
            _ => Event::Stop,
        }
    }
}
