//! One synchronous netlink socket: a request goes out, its replies come in.
//!
//! Message layouts: include/uapi/linux/netlink.h. The socket stays in the namespace in which it was
//! opened, whichever namespace the thread enters later.

pub mod groups;
mod refusal;
mod wire;

use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::Emitable;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect,
    getsockopt, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::error::{Code, Error};

pub use refusal::Refusal;
pub use wire::{
    HEADER, Message, attribute, each_attribute, message, split, text, u16_at, u32_at, u64_at,
    verdict,
};

/// Bytes received at once. The kernel fills up to 32 KiB per read of a dump.
const BUFFER: usize = 32 << 10;
/// Seconds after which the kernel's silence is a failure.
const PATIENCE: i64 = 10;
/// How often a dump that the kernel reports as inconsistent is tried.
const DUMP_TRIES: usize = 20;
/// How often a request is sent whose answer could not be received.
const ANSWER_TRIES: usize = 3;

/// The request changes nothing and one object, or a refusal, comes back.
pub const GET: u16 = 0;
/// Create, and fail if it exists.
pub const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
/// Create, or change what exists.
pub const REPLACE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;
/// List every object.
pub const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// A netlink socket with its counter of requests.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// A socket for links, addresses and traffic control, in the calling thread's namespace.
    ///
    /// # Errors
    /// Code 100 when the kernel gives none.
    pub fn route() -> Result<Netlink, Error> {
        Self::open(SockProtocol::NetlinkRoute, "NETLINK_ROUTE")
    }

    /// A socket for nf_tables and conntrack, in the calling thread's namespace.
    ///
    /// # Errors
    /// Code 103 when the kernel is built without netfilter's netlink, 100 when it gives none.
    pub fn netfilter() -> Result<Netlink, Error> {
        Self::open(SockProtocol::NetlinkNetFilter, "NETLINK_NETFILTER")
    }

    /// A socket for families that are found by their names, in the calling thread's namespace.
    ///
    /// # Errors
    /// Code 100 when the kernel gives none.
    pub fn generic() -> Result<Netlink, Error> {
        Self::open(SockProtocol::NetlinkGeneric, "NETLINK_GENERIC")
    }

    fn open(protocol: SockProtocol, name: &str) -> Result<Netlink, Error> {
        let opened = || -> nix::Result<OwnedFd> {
            let flags = SockFlag::SOCK_CLOEXEC;
            let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
            let patience = TimeVal::new(PATIENCE, 0);
            setsockopt(&fd, sockopt::ReceiveTimeout, &patience)?;
            setsockopt(&fd, sockopt::SendTimeout, &patience)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
            // A process in the container with CAP_NET_ADMIN could answer in the kernel's place; to a
            // connected socket only its peer may send (`netlink_getsockbyportid`, af_netlink.c).
            connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
            set_extended_errors(&fd);
            Ok(fd)
        };
        let socket = opened().map_err(|errno| {
            let code = match errno {
                Errno::EPROTONOSUPPORT => Code::Unsupported,
                _ => Code::System,
            };
            Error::new(code, format!("open a {name} socket")).with_details(errno.desc())
        })?;
        Ok(Netlink {
            socket,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Sends one request and waits until the kernel has answered it.
    ///
    /// `flags` is one of [`GET`], [`CREATE`], [`REPLACE`], [`DUMP`] or plain `NLM_F_*`. The replies
    /// are the messages before the acknowledgement or the end of the dump. Where the answer cannot be
    /// received the request is sent again, unless it must not find what it creates.
    ///
    /// # Errors
    /// What the kernel refused, or `ETIMEDOUT` when it says nothing.
    pub fn request(
        &mut self,
        kind: u16,
        flags: u16,
        body: &impl Emitable,
    ) -> Result<Vec<Message>, Refusal> {
        let mut bytes = vec![0; body.buffer_len()];
        body.emit(&mut bytes);
        self.request_bytes(kind, flags, &bytes)
    }

    /// As [`Netlink::request`], with the body already in bytes.
    ///
    /// # Errors
    /// As [`Netlink::request`].
    pub fn request_bytes(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
    ) -> Result<Vec<Message>, Refusal> {
        self.collect(kind, flags, body, |message| message)
    }

    /// As [`Netlink::request_bytes`], and keeps of each reply only what `take` makes of it: a list may be
    /// long. It may also be begun again, so `take` keeps nothing itself.
    ///
    /// # Errors
    /// As [`Netlink::request`].
    pub fn collect<T>(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        take: impl Fn(Message) -> T,
    ) -> Result<Vec<T>, Refusal> {
        let is_dump = flags & DUMP == DUMP;
        let is_repeatable = is_dump || flags & libc::NLM_F_EXCL as u16 == 0;
        let mut unanswered = 0;
        for _ in 0..DUMP_TRIES {
            let sequence = self.next_sequence();
            let ack = if is_dump { 0 } else { libc::NLM_F_ACK as u16 };
            let flags = flags | libc::NLM_F_REQUEST as u16 | ack;
            self.send(&message(kind, flags, sequence, body))?;
            match self.replies(sequence, &take) {
                Ok(Some(replies)) => return Ok(replies),
                // It is created, whatever else was reported.
                Ok(None) if !is_repeatable => return Ok(Vec::new()),
                Ok(None) => {}
                Err(refusal) => {
                    unanswered += 1;
                    let is_lost = !refusal.is_answer && refusal.errno != Errno::ETIMEDOUT;
                    if !(is_lost && is_repeatable && unanswered < ANSWER_TRIES) {
                        return Err(refusal);
                    }
                }
            }
        }
        Err(Errno::EINTR.into())
    }

    /// The number that the kernel gave the socket's network namespace, unique until the next boot
    /// (`SO_NETNS_COOKIE`); `None` on kernels before 5.14. Unlike an inode's number it is not used
    /// again for another namespace.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn netns_cookie(&self) -> Result<Option<u64>, Refusal> {
        match cookie(&self.socket) {
            Ok(number) => Ok(Some(number)),
            Err(Errno::ENOPROTOOPT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The number for the next message.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Makes room for sending `length` bytes at once: what the default buffer cannot hold, the kernel
    /// refuses with `EMSGSIZE`.
    ///
    /// # Errors
    /// `EPERM` without the right to exceed the system's limit.
    pub fn reserve(&self, length: usize) -> Result<(), Refusal> {
        // `netlink_sendmsg` in net/netlink/af_netlink.c keeps 32 bytes for itself.
        let needed = length.saturating_add(32);
        if needed <= getsockopt(&self.socket, sockopt::SndBuf)? {
            return Ok(());
        }
        Ok(setsockopt(&self.socket, sockopt::SndBufForce, &needed)?)
    }

    /// Sends bytes that are one or more whole messages.
    ///
    /// # Errors
    /// As the kernel says, `EMSGSIZE` for more than the socket's buffer holds.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Refusal> {
        let kernel = NetlinkAddr::new(0, 0);
        loop {
            match sendto(self.socket.as_raw_fd(), bytes, &kernel, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Receives one datagram and gives its messages with their flags.
    ///
    /// # Errors
    /// `ETIMEDOUT` when the kernel says nothing, `ENOBUFS` when it had to drop messages.
    pub fn receive(&mut self) -> Result<Vec<(Message, u16)>, Refusal> {
        self.receive_with(MsgFlags::empty())
            .map_err(|errno| match errno {
                Errno::EAGAIN => Errno::ETIMEDOUT.into(),
                errno => errno.into(),
            })
    }

    /// As [`Netlink::receive`], but only what has come already: `None` when that was all.
    ///
    /// # Errors
    /// As [`Netlink::receive`].
    pub fn received(&mut self) -> Result<Option<Vec<(Message, u16)>>, Refusal> {
        match self.receive_with(MsgFlags::MSG_DONTWAIT) {
            Ok(messages) => Ok(Some(messages)),
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn receive_with(&mut self, flags: MsgFlags) -> Result<Vec<(Message, u16)>, Errno> {
        // With MSG_TRUNC the kernel returns the datagram's true length.
        let flags = flags | MsgFlags::MSG_TRUNC;
        let length = loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, flags) {
                Ok(length) => break length,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        };
        let bytes = self.buffer.get(..length).ok_or(Errno::EMSGSIZE)?;
        match split(bytes) {
            (messages, []) => Ok(messages),
            // What cannot be read may be what was looked for.
            _ => Err(Errno::EBADMSG),
        }
    }

    /// The next datagram of an answer. The kernel answers while it takes the request, so that after
    /// an overrun what is left of the answer has come already. What was requested is done, and most
    /// likely its acknowledgement is not what was dropped.
    /// Also says whether messages were dropped before it.
    fn answer(&mut self) -> Result<(Vec<(Message, u16)>, bool), Refusal> {
        match self.receive() {
            Err(refusal) if refusal.errno == Errno::ENOBUFS => {
                Ok((self.received()?.ok_or(refusal)?, true))
            }
            answer => Ok((answer?, false)),
        }
    }

    /// Collects the replies to one request; `None` when a list lacks some: the kernel says that the
    /// objects changed while they were listed, or it had to drop messages.
    fn replies<T>(
        &mut self,
        sequence: u32,
        take: &impl Fn(Message) -> T,
    ) -> Result<Option<Vec<T>>, Refusal> {
        let mut replies = Vec::new();
        let mut interrupted = false;
        loop {
            let (messages, has_gap) = self.answer()?;
            interrupted |= has_gap;
            for (message, flags) in messages {
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= flags & libc::NLM_F_DUMP_INTR as u16 != 0;
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR if message.body.len() < 4 => {
                        return Err(Errno::EBADMSG.into());
                    }
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        verdict(&message.body, flags)?;
                        return Ok((!interrupted).then_some(replies));
                    }
                    libc::NLMSG_NOOP => {}
                    _ => replies.push(take(message)),
                }
            }
        }
    }
}

/// Requests the kernel's words in refusals and refusals without the echoed request. Kernels that
/// cannot do this answer without, which the reader understands too.
fn set_extended_errors(fd: &OwnedFd) {
    let on: libc::c_int = 1;
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let _ = set_option(fd, option, on);
    }
}

#[allow(unsafe_code)]
fn cookie(fd: &OwnedFd) -> Result<u64, Errno> {
    let mut cookie: u64 = 0;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: `fd` is an open socket, and the pointers describe `cookie` and its length, which both
    // live through the call.
    let failed = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    Errno::result(failed)?;
    match length as usize == size_of::<u64>() {
        true => Ok(cookie),
        false => Err(Errno::EBADMSG),
    }
}

#[allow(unsafe_code)]
fn set_option(fd: &OwnedFd, option: libc::c_int, value: libc::c_int) -> Result<(), Errno> {
    // SAFETY: `fd` is an open socket, and the pointer and length describe `value`, which lives
    // through the call.
    let failed = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(failed).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_s_number_stays_the_same() {
        let cookie = || Netlink::route().unwrap().netns_cookie().unwrap();
        assert!(cookie().is_some());
        assert_eq!(cookie(), cookie());
    }

    #[test]
    fn nobody_but_the_kernel_can_answer() {
        let asking = Netlink::route().unwrap();
        let answering = Netlink::route().unwrap();
        let asking = nix::sys::socket::getsockname::<NetlinkAddr>(asking.socket.as_raw_fd());
        let answer = message(16, 0, 1, b"forged");
        let sent = sendto(
            answering.socket.as_raw_fd(),
            &answer,
            &asking.unwrap(),
            MsgFlags::empty(),
        );
        assert_eq!(sent, Err(Errno::ECONNREFUSED));
    }

    #[test]
    fn the_kernel_refuses_in_words() {
        let mut socket = Netlink::route().unwrap();
        // RTM_GETLINK by a name (IFLA_IFNAME) of 40 bytes.
        let mut body = vec![0; 16];
        body.extend([44, 0, 3, 0]);
        body.extend([b'x'; 40]);
        let refusal = socket.request_bytes(18, GET, &body).unwrap_err();
        assert!(!refusal.text.is_empty(), "{refusal:?}");
    }
}
