//! Traffic between namespaces: who answers, as whom one is seen, and how much gets through.
//!
//! Servers listen on all addresses of their namespace, IPv4 and IPv6, on a thread of their own, and stop
//! when they are dropped. Every answer carries the server's name and the peer address it saw, so that a
//! client learns whom a host port led to and whether its own address was translated.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`tcp`] | exchange, and connections kept open |
//! | [`udp`] | exchange, and a client that keeps sending from one port |
//! | [`sctp`] | exchange of INIT and INIT ACK; needs no SCTP in the kernel |
//! | [`http`] | a page and its fetch |
//! | [`throughput`] | goodput over time |

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub mod http;
pub mod sctp;
mod service;
pub mod tcp;
pub mod throughput;
pub mod udp;

/// How long the plain `exchange` functions wait for an answer. Ample for a busy machine; where none is
/// expected, the functions with a time limit of their own save time.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What came of an attempt to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server answered.
    Reached {
        /// The name the server was started with.
        server: String,
        /// The client's address as the server saw it.
        peer: SocketAddr,
    },
    /// Somebody said no: a reset, an ABORT, an ICMP port or protocol unreachable.
    Refused,
    /// Nobody answered in time.
    TimedOut,
    /// Anything else, such as no route.
    Failed(String),
}

impl Outcome {
    /// The name of the server that answered.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Reached { server, .. } => Some(server),
            _ => None,
        }
    }

    /// The client's address as the server saw it.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Reached { peer, .. } => Some(*peer),
            _ => None,
        }
    }

    fn of(answer: io::Result<String>) -> Self {
        match answer {
            Ok(text) => {
                Self::parse(&text).unwrap_or_else(|| Self::Failed(format!("answer {text:?}")))
            }
            Err(e) => Self::of_error(&e),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (server, peer) = text.trim_end().rsplit_once(' ')?;
        Some(Self::Reached {
            server: server.to_owned(),
            peer: peer.parse().ok()?,
        })
    }

    fn of_error(error: &io::Error) -> Self {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, TimedOut, WouldBlock};
        match error.kind() {
            ConnectionRefused | ConnectionReset => Self::Refused,
            TimedOut | WouldBlock => Self::TimedOut,
            // ICMP protocol unreachable (`icmp_err_convert` in the kernel's net/ipv4/icmp.c).
            _ if error.raw_os_error() == Some(nix::libc::ENOPROTOOPT) => Self::Refused,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What a server answers; [`Outcome`] reads it.
fn answer(server: &str, peer: SocketAddr) -> String {
    format!("{server} {}\n", canonical(peer))
}

/// The address without the clothes of a dual-stack socket (`::ffff:10.0.0.1`).
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
