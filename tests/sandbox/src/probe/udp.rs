//! UDP: a server that names itself, a single exchange, and a client that keeps sending.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::service::{Event, Service, Stop, anywhere};
use super::{Outcome, PATIENCE, answer};
use crate::namespace::Namespace;

/// A server that answers every datagram with its name and the peer's address.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    _service: Service,
}

impl Server {
    /// Starts a server on every address of the namespace. Port 0 takes a free one. The kernel chooses the
    /// source of the answers; where the namespace has several addresses, use [`Server::start_at`].
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, port: u16, name: &str) -> io::Result<Self> {
        Self::start_at(namespace, anywhere(port), name)
    }

    /// Starts a server on one address.
    ///
    /// # Errors
    /// When the address is not there or taken.
    pub fn start_at(namespace: &Namespace, address: SocketAddr, name: &str) -> io::Result<Self> {
        let socket = namespace
            .run(|| UdpSocket::bind(address))
            .map_err(|e| io::Error::new(e.kind(), format!("listen on UDP {address}: {e}")))?;
        socket.set_nonblocking(true)?;
        let (address, name) = (socket.local_addr()?, name.to_owned());
        let service = Service::start(namespace, move |stop| {
            let mut buffer = [0; 2048];
            while stop.wait(&[socket.as_fd()], None) != Event::Stop {
                // An error here is an ICMP answer to an earlier datagram, or a peer that is gone.
                if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(answer(&name, peer).as_bytes(), peer);
                }
            }
        })?;
        Ok(Self {
            address,
            _service: service,
        })
    }
}

/// Sends one datagram from `client` and waits for the answer.
#[must_use]
pub fn exchange(client: &Namespace, to: SocketAddr) -> Outcome {
    exchange_within(client, to, PATIENCE)
}

/// [`exchange`] with a time limit.
#[must_use]
pub fn exchange_within(client: &Namespace, to: SocketAddr, timeout: Duration) -> Outcome {
    exchange_from(client, any_source(to), to, timeout)
}

/// [`exchange`] from a given source address and port, with a time limit.
#[must_use]
pub fn exchange_from(
    client: &Namespace,
    source: SocketAddr,
    to: SocketAddr,
    timeout: Duration,
) -> Outcome {
    Outcome::of(client.run(|| {
        let socket = connected(source, to)?;
        socket.set_read_timeout(Some(timeout))?;
        socket.send(b"probe\n")?;
        receive(&socket)
    }))
}

/// The unspecified address of the family of `to`, any port.
fn any_source(to: SocketAddr) -> SocketAddr {
    if to.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    }
}

/// Connected, so that ICMP errors come back as errors and nobody but the target is heard.
fn connected(source: SocketAddr, to: SocketAddr) -> io::Result<UdpSocket> {
    let tried = |e: io::Error| io::Error::new(e.kind(), format!("UDP from {source} to {to}: {e}"));
    let socket = UdpSocket::bind(source).map_err(tried)?;
    socket.connect(to).map_err(tried)?;
    Ok(socket)
}

fn receive(socket: &UdpSocket) -> io::Result<String> {
    let mut buffer = [0; 2048];
    let count = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned())
}

/// Time between two datagrams of a [`Flow`].
const STEP: Duration = Duration::from_millis(5);

/// A flow without an answer for so long has [`Outcome::TimedOut`].
const SILENCE: Duration = Duration::from_millis(300);

/// A client that sends every 5 ms from one source port, so that the kernel's connection tracking never
/// forgets it: what a DNS resolver or a log shipper looks like. Stops on Drop.
#[derive(Debug)]
pub struct Flow {
    latest: Arc<Mutex<Latest>>,
    _service: Service,
}

#[derive(Debug)]
struct Latest {
    outcome: Outcome,
    at: Instant,
    sent: u64,
    answered: u64,
}

impl Flow {
    /// Starts sending from `source` (port 0: any) in `client`.
    ///
    /// # Errors
    /// When the source is not there or taken, or there is no route.
    pub fn start(client: &Namespace, source: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = client.run(|| connected(source, to))?;
        socket.set_nonblocking(true)?;
        let first = Latest {
            outcome: Outcome::TimedOut,
            at: Instant::now(),
            sent: 0,
            answered: 0,
        };
        let latest = Arc::new(Mutex::new(first));
        let shared = Arc::clone(&latest);
        let service = Service::start(client, move |stop| send_until(stop, &socket, &shared))?;
        Ok(Self {
            latest,
            _service: service,
        })
    }

    /// Who answered last, or [`Outcome::TimedOut`] when nobody has for 0.3 s.
    #[must_use]
    pub fn latest(&self) -> Outcome {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.at.elapsed() > SILENCE {
            Outcome::TimedOut
        } else {
            latest.outcome.clone()
        }
    }

    /// Datagrams sent and answers received so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        (latest.sent, latest.answered)
    }
}

fn send_until(stop: &Stop, socket: &UdpSocket, latest: &Mutex<Latest>) {
    let (mut due, mut sent) = (Instant::now(), 0);
    loop {
        if due <= Instant::now() {
            // A refusal of the datagram before it may come out here; the next one is sent all the same.
            let outcome = socket.send(b"probe\n").err().map(|e| Outcome::of_error(&e));
            sent += 1;
            due = Instant::now() + STEP;
            note(latest, sent, outcome);
        }
        match stop.wait(
            &[socket.as_fd()],
            Some(due.saturating_duration_since(Instant::now())),
        ) {
            Event::Stop => return,
            Event::Timeout => {}
            Event::Readable(_) => note(latest, sent, Some(Outcome::of(receive(socket)))),
        }
    }
}

fn note(latest: &Mutex<Latest>, sent: u64, outcome: Option<Outcome>) {
    let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
    latest.sent = sent;
    match outcome {
        None | Some(Outcome::TimedOut) => {}
        Some(outcome) => {
            latest.answered += u64::from(outcome.server().is_some());
            (latest.outcome, latest.at) = (outcome, Instant::now());
        }
    }
}
