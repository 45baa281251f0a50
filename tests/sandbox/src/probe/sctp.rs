//! SCTP: the first two packets of an association, INIT and INIT ACK, over raw sockets.
//!
//! Many kernels are built without SCTP sockets, but forwarding, translation and connection tracking of
//! SCTP work on the packets alone. So the packets are made here (RFC 9260), and the state cookie of the
//! INIT ACK, opaque to everybody but its sender, carries the server's name and the peer it saw.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::service::{Event, Service};
use super::{Outcome, PATIENCE, answer, canonical};
use crate::namespace::Namespace;
use packet::{Body, Packet};

mod packet;

/// A server that answers every INIT to its port.
#[derive(Debug)]
pub struct Server {
    /// The port it answers on.
    pub port: u16,
    _service: Service,
}

impl Server {
    /// Starts a server on every address of the namespace. The kernel chooses the source of the answers.
    ///
    /// # Errors
    /// Without the right to open raw sockets.
    pub fn start(namespace: &Namespace, port: u16, name: &str) -> io::Result<Self> {
        let v4 = namespace.run(|| raw(Domain::IPV4))?;
        let v6 = namespace.run(|| raw(Domain::IPV6))?;
        let name = name.to_owned();
        let service = Service::start(namespace, move |stop| {
            loop {
                let socket = match stop.wait(&[v4.as_fd(), v6.as_fd()], None) {
                    Event::Stop => return,
                    Event::Timeout => continue,
                    Event::Readable(0) => &v4,
                    Event::Readable(_) => &v6,
                };
                // A packet that is not for us, or a peer that is gone: wait for the next.
                let _ = answer_one(socket, port, &name);
            }
        })?;
        Ok(Self {
            port,
            _service: service,
        })
    }
}

/// A raw socket hears every SCTP packet of its namespace and family. Raw and UDP sockets are read and
/// written by the same calls, so the standard library's type serves.
fn raw(domain: Domain) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::SCTP))
        .map_err(|e| io::Error::new(e.kind(), format!("open a raw SCTP socket: {e}")))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn receive(socket: &UdpSocket) -> io::Result<(Option<Packet>, IpAddr)> {
    let mut buffer = [0; 2048];
    let (count, from) = socket.recv_from(&mut buffer)?;
    let bytes = buffer.get(..count).unwrap_or_default();
    // An IPv4 raw socket hears the IP header too, an IPv6 one does not (raw(7)).
    let bytes = if from.is_ipv4() {
        packet::without_ipv4_header(bytes)
    } else {
        Some(bytes)
    };
    Ok((bytes.and_then(Packet::parse), from.ip()))
}

fn answer_one(socket: &UdpSocket, port: u16, name: &str) -> io::Result<()> {
    let (Some(packet), from) = receive(socket)? else {
        return Ok(());
    };
    let Body::Init { tag } = packet.body else {
        return Ok(());
    };
    if packet.destination != port {
        return Ok(());
    }
    let peer = canonical((from, packet.source).into());
    let reply = Packet {
        source: port,
        destination: packet.source,
        tag,
        body: Body::InitAck {
            tag: 2,
            cookie: answer(name, peer).into_bytes(),
        },
    };
    // The port of a raw socket's address must be 0 (raw(7), ipv6(7)).
    socket
        .send_to(&reply.to_bytes(), SocketAddr::new(from, 0))
        .map(drop)
}

/// Sends one INIT from `client` and waits for the answer to it.
#[must_use]
pub fn exchange(client: &Namespace, to: SocketAddr) -> Outcome {
    exchange_within(client, to, PATIENCE)
}

/// [`exchange`] with a time limit.
#[must_use]
pub fn exchange_within(client: &Namespace, to: SocketAddr, timeout: Duration) -> Outcome {
    /// Raw sockets have no ports; each exchange takes the next, so that no two share a flow.
    static SOURCE: AtomicU16 = AtomicU16::new(0);
    let source = 20_000 + SOURCE.fetch_add(1, Ordering::Relaxed) % 40_000;
    client
        .run(|| init(source, to, timeout))
        .unwrap_or_else(|e| Outcome::of_error(&e))
}

fn init(source: u16, to: SocketAddr, timeout: Duration) -> io::Result<Outcome> {
    let deadline = Instant::now() + timeout;
    let socket = raw(Domain::for_address(to))?;
    // Connected, so that ICMP errors come back as errors and nobody but the target is heard.
    socket.connect(SocketAddr::new(to.ip(), 0))?;
    socket.set_nonblocking(false)?;
    let body = Body::Init { tag: 1 };
    socket.send(
        &Packet {
            source,
            destination: to.port(),
            tag: 0,
            body,
        }
        .to_bytes(),
    )?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Outcome::TimedOut);
        }
        socket.set_read_timeout(Some(left))?;
        let (Some(packet), _) = receive(&socket)? else {
            continue;
        };
        if packet.source != to.port() || packet.destination != source || packet.tag != 1 {
            continue;
        }
        match packet.body {
            Body::InitAck { cookie, .. } => {
                return Ok(Outcome::of(Ok(
                    String::from_utf8_lossy(&cookie).into_owned()
                )));
            }
            Body::Abort => return Ok(Outcome::Refused),
            Body::Init { .. } => {}
        }
    }
}
