//! Requests to nf_tables: questions, and one batch of changes that happens whole or not at all.

mod batch;
mod objects;

use std::collections::HashMap;
use std::ops::ControlFlow;

use common::Family;
use common::error::{Code, Error};
use common::sys::netlink::{DUMP, GET, Message, Netlink, Refusal, message, verdict};
use common::sys::nla::Nla;
use nix::errno::Errno;
use nix::libc;

use crate::object::{attributes, number};
use crate::uapi;

pub use batch::{Outcome, doubt};

/// Bytes before the attributes (`struct nfgenmsg`).
const HEADER: usize = 4;
/// Questions sent at once: their answers have to fit the socket's buffer.
const AT_ONCE: usize = 32;

/// A socket for nf_tables.
#[derive(Debug)]
pub struct Nft {
    netlink: Netlink,
}

type Answer<T> = Result<T, Refusal>;

impl Nft {
    /// Opens the socket, in the calling thread's namespace.
    ///
    /// # Errors
    /// Code 103 when the kernel has no netfilter's netlink, 100 when it gives none.
    pub fn open() -> Result<Nft, Error> {
        let netlink = Netlink::netfilter()?;
        Ok(Nft { netlink })
    }

    /// A socket, unless the kernel has no nf_tables: then there is nothing to find or remove.
    ///
    /// # Errors
    /// Code 100 when that cannot be found out.
    pub fn open_if_any() -> Result<Option<Nft>, Error> {
        let opened = Nft::open().and_then(|mut nft| nft.generation().map(|_| nft));
        match opened {
            Ok(nft) => Ok(Some(nft)),
            Err(error) if error.code == Code::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The ruleset's generation: it changes with every commit in this namespace.
    ///
    /// # Errors
    /// Code 103 when the kernel has no nf_tables.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let request = [uapi::UNSPEC, 0, 0, 0];
        let refused = |refusal: Refusal| {
            // What nfnetlink answers for a subsystem that is neither built in nor loadable.
            let is_missing = refusal.is_answer && refusal.errno == Errno::EINVAL;
            let code = match is_missing {
                true => Code::Unsupported,
                false => Code::System,
            };
            Error::new(code, "query nf_tables").with_details(refusal)
        };
        let replies = self
            .netlink
            .request_bytes(uapi::GETGEN, GET, &request)
            .map_err(refused)?;
        // Without one, a batch would be committed whatever had changed.
        replies
            .iter()
            .find(|reply| reply.kind == uapi::NEWGEN)
            .and_then(|reply| number(content(reply), uapi::GEN_ID))
            .ok_or_else(|| refused(UNREADABLE.into()))
    }

    /// What `take` makes of the attributes of objects of a kind, each requested by its own; `None` for each
    /// that is missing.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn each<T>(
        &mut self,
        kind: u16,
        family: Family,
        asked: &[Vec<Nla>],
        take: impl Fn(&[u8]) -> T,
    ) -> Answer<Vec<Option<T>>> {
        let body = |asked: &Vec<Nla>| attributes(family.nf_number(), asked);
        let requests: Vec<Vec<u8>> = asked.iter().map(body).collect::<Answer<_>>()?;
        let answers = self.ask(kind, &requests)?;
        let take = |answer: &Option<Message>| answer.as_ref().map(|m| take(content(m)));
        Ok(answers.iter().map(take).collect())
    }

    /// What `take` makes of the attributes of every object of a kind that a filter lets through; none for a
    /// missing table.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn list<T>(
        &mut self,
        kind: u16,
        family: Family,
        filter: &[Nla],
        take: impl Fn(&[u8]) -> T,
    ) -> Answer<Vec<T>> {
        self.list_of(kind, family.nf_number(), filter, take)
    }

    /// The same of any family of nf_tables' (`NFPROTO_*`).
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn list_of<T>(
        &mut self,
        kind: u16,
        family: u8,
        filter: &[Nla],
        take: impl Fn(&[u8]) -> T,
    ) -> Answer<Vec<T>> {
        let request = attributes(family, filter)?;
        let take = |message: Message| take(content(&message));
        match self.netlink.collect(kind, DUMP, &request, take) {
            Err(refusal) if refusal.is_absence() => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// As [`Nft::list`], but only as far as `take` wants more: the rest is not requested.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn beginning(
        self,
        kind: u16,
        family: Family,
        filter: &[Nla],
        take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Answer<()> {
        self.until(kind, family, filter, take).map(drop)
    }

    /// The same; says whether that was all, and nothing has changed meanwhile.
    fn until(
        mut self,
        kind: u16,
        family: Family,
        filter: &[Nla],
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Answer<bool> {
        let request = attributes(family.nf_number(), filter)?;
        let sequence = self.netlink.next_sequence();
        let flags = DUMP | libc::NLM_F_REQUEST as u16;
        self.netlink
            .send(&message(kind, flags, sequence, &request))?;
        let mut is_whole = true;
        loop {
            for (reply, flags) in self.netlink.receive()? {
                is_whole &= flags & libc::NLM_F_DUMP_INTR as u16 == 0;
                if i32::from(reply.kind) == libc::NLMSG_DONE {
                    return Ok(is_whole);
                }
                let object = present(reply, flags)?;
                if object.is_none_or(|object| take(content(&object)).is_break()) {
                    return Ok(false);
                }
            }
        }
    }

    /// Sends questions of one object each, several at a time; `None` answers that it is missing.
    fn ask(&mut self, kind: u16, requests: &[Vec<u8>]) -> Answer<Vec<Option<Message>>> {
        let mut answers = Vec::with_capacity(requests.len());
        for group in requests.chunks(AT_ONCE) {
            answers.extend(self.ask_group(kind, group)?);
        }
        Ok(answers)
    }

    fn ask_group(&mut self, kind: u16, requests: &[Vec<u8>]) -> Answer<Vec<Option<Message>>> {
        let mut bytes = Vec::new();
        let mut numbers = Vec::with_capacity(requests.len());
        for request in requests {
            let sequence = self.netlink.next_sequence();
            numbers.push(sequence);
            bytes.extend(message(kind, libc::NLM_F_REQUEST as u16, sequence, request));
        }
        self.netlink.send(&bytes)?;
        let mut answers = HashMap::with_capacity(requests.len());
        while answers.len() < requests.len() {
            for (reply, flags) in self.netlink.receive()? {
                if numbers.contains(&reply.sequence) {
                    answers.insert(reply.sequence, present(reply, flags)?);
                }
            }
        }
        let answer = |number| answers.remove(number).flatten();
        Ok(numbers.iter().map(answer).collect())
    }
}

/// An answer without what was requested.
const UNREADABLE: Errno = Errno::EBADMSG;

/// The attributes of a message.
pub fn content(message: &Message) -> &[u8] {
    message.body.get(HEADER..).unwrap_or(&[])
}

/// The object of an answer; `None` when no object has that name.
fn present(reply: Message, flags: u16) -> Answer<Option<Message>> {
    if i32::from(reply.kind) != libc::NLMSG_ERROR {
        return Ok(Some(reply));
    }
    match verdict(&reply.body, flags) {
        Ok(()) => Err(UNREADABLE.into()),
        Err(refusal) if refusal.is_absence() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}
