//! One synchronous netlink socket: a request goes out, its replies come in.
//!
//! Message layouts: include/uapi/linux/netlink.h. The socket stays in the namespace in which it was
//! opened, whichever namespace the thread enters later.

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{Emitable, NlaBuffer, NlasIterator};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect,
    getsockopt, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::error::{Code, Error};

/// Bytes of a message's header (`struct nlmsghdr`).
pub const HEADER: usize = 16;
/// Bytes received at once. The kernel fills up to 32 KiB per read of a dump.
const BUFFER: usize = 32 << 10;
/// Seconds after which the kernel's silence is a failure.
const PATIENCE: i64 = 10;
/// How often a dump that the kernel reports as inconsistent is tried.
const DUMP_TRIES: usize = 20;
/// How often a request is sent whose answer could not be received.
const ANSWER_TRIES: usize = 3;

/// The kernel's words in a refusal (enum nlmsgerr_attrs).
const NLMSGERR_ATTR_MSG: u16 = 1;

/// The request changes nothing and one object, or a refusal, comes back.
pub const GET: u16 = 0;
/// Create, and fail if it exists.
pub const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
/// Create, or change what exists.
pub const REPLACE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;
/// List every object.
pub const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// What the kernel refused, in its words where it gave some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error's number.
    pub errno: Errno,
    /// The kernel's explanation (`NLMSGERR_ATTR_MSG`); often empty.
    pub text: String,
    /// Whether it is the kernel's answer to a request. If not, a system call failed, and nothing is
    /// known of what was asked for.
    pub is_answer: bool,
}

impl Refusal {
    /// Whether the kernel answered that what the request names is not there.
    pub fn is_absence(&self) -> bool {
        self.is_answer && self.errno == Errno::ENOENT
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal {
            errno,
            text: String::new(),
            is_answer: false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.errno.desc())?;
        if !self.text.is_empty() {
            write!(f, " ({})", self.text)?;
        }
        Ok(())
    }
}

impl Refusal {
    /// Whether the kernel answered with one of these.
    pub fn says(&self, errnos: &[Errno]) -> bool {
        self.is_answer && errnos.contains(&self.errno)
    }
}

/// One message from the kernel: its type and what follows the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `nlmsg_type`
    pub kind: u16,
    /// `nlmsg_seq`
    pub sequence: u32,
    /// Everything after the header.
    pub body: Vec<u8>,
}

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
        let is_dump = flags & DUMP == DUMP;
        let is_repeatable = is_dump || flags & libc::NLM_F_EXCL as u16 == 0;
        let mut unanswered = 0;
        for _ in 0..DUMP_TRIES {
            let sequence = self.next_sequence();
            let ack = if is_dump { 0 } else { libc::NLM_F_ACK as u16 };
            let flags = flags | libc::NLM_F_REQUEST as u16 | ack;
            self.send(&message(kind, flags, sequence, body))?;
            match self.replies(sequence) {
                Ok(Some(replies)) => return Ok(replies),
                // It is created, whatever else was said of it.
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
        // With MSG_TRUNC the kernel tells the datagram's true length.
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
    /// an overrun what is left of the answer has come already. What was asked for is done, and most
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
    fn replies(&mut self, sequence: u32) -> Result<Option<Vec<Message>>, Refusal> {
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
                    _ => replies.push(message),
                }
            }
        }
    }
}

/// One message in bytes, padded to 4.
pub fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = HEADER + body.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// The messages of one datagram with their flags, and what is left where no message begins.
pub fn split(mut bytes: &[u8]) -> (Vec<(Message, u16)>, &[u8]) {
    let mut messages = Vec::new();
    while let Some(header) = bytes.get(..HEADER) {
        let length = u32_at(header, 0).unwrap_or(0) as usize;
        let Some(body) = bytes.get(HEADER..length) else {
            break;
        };
        messages.push((
            Message {
                kind: u16_at(header, 4).unwrap_or(0),
                sequence: u32_at(header, 8).unwrap_or(0),
                body: body.to_vec(),
            },
            u16_at(header, 6).unwrap_or(0),
        ));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    (messages, bytes)
}

/// The outcome in an `NLMSG_ERROR` or `NLMSG_DONE`: a number, 0 for success, and for errors the
/// kernel's words. A `NLMSG_DONE` of older kernels may be empty.
///
/// # Errors
/// When the number is an error's.
pub fn verdict(body: &[u8], flags: u16) -> Result<(), Refusal> {
    match u32_at(body, 0).map_or(0, u32::cast_signed) {
        0 => Ok(()),
        number => Err(Refusal {
            errno: Errno::from_raw(number.saturating_neg()),
            text: explanation(body, flags).unwrap_or_default(),
            is_answer: true,
        }),
    }
}

/// The kernel's words: after the number stands the request's header (its body only without
/// `NLM_F_CAPPED`), then attributes.
fn explanation(body: &[u8], flags: u16) -> Option<String> {
    if flags & libc::NLM_F_ACK_TLVS as u16 == 0 {
        return None;
    }
    let echoed = match flags & libc::NLM_F_CAPPED as u16 {
        0 => u32_at(body, 4)? as usize,
        _ => HEADER,
    };
    let attributes = body.get(4 + echoed.next_multiple_of(4)..)?;
    attribute(attributes, NLMSGERR_ATTR_MSG).map(|text| {
        String::from_utf8_lossy(text)
            .trim_end_matches('\0')
            .to_owned()
    })
}

/// The value of the first attribute of a kind.
pub fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    each_attribute(attributes)
        .find(|(k, _)| *k == kind)
        .map(|(_, value)| value)
}

/// Every attribute's kind (without flags) and value. A malformed rest ends the iteration.
pub fn each_attribute(attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(attributes)
        .map_while(Result::ok)
        .map(|nla: NlaBuffer<&[u8]>| {
            let length = 4 + nla.value_length();
            (nla.kind(), nla.into_inner().get(4..length).unwrap_or(&[]))
        })
}

/// Two bytes at an offset, in the machine's order.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// Four bytes at an offset, in the machine's order.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A text attribute without its closing NUL.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or(&[])).into_owned()
}

/// Asks for the kernel's words in refusals and for refusals without the echoed request. Kernels that
/// cannot do this answer without, which the reader understands too.
fn set_extended_errors(fd: &OwnedFd) {
    let on: libc::c_int = 1;
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        set_option(fd, option, on);
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
fn set_option(fd: &OwnedFd, option: libc::c_int, value: libc::c_int) {
    // SAFETY: `fd` is an open socket, and the pointer and length describe `value`, which lives
    // through the call.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_a_datagram_and_a_broken_rest_is_left() {
        let mut bytes = message(16, 2, 7, b"abcde");
        bytes.extend(message(20, 0, 7, b""));
        bytes.extend([200, 0, 0, 0, 1]);
        let (messages, rest) = split(&bytes);
        assert_eq!((messages.len(), rest.len()), (2, 5));
        assert_eq!(messages[0].0.body, b"abcde");
        assert_eq!((messages[0].1, messages[1].0.kind), (2, 20));
    }

    #[test]
    fn lengths_that_lie_end_the_list() {
        for length in [0u32, 3, 15, 17, u32::MAX] {
            let mut bytes = message(1, 0, 1, b"");
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(split(&bytes), (vec![], &bytes[..]), "{length}");
        }
    }

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
