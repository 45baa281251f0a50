//! Requests to nf_tables: questions, and one batch of changes that happens whole or not at all.

use std::collections::HashMap;
use std::ops::ControlFlow;

use common::Family;
use common::error::{Code, Error};
use common::sys::netlink::{DUMP, GET, Message, Netlink, Refusal, message, verdict};
use common::sys::nla::{self, Nla};
use nix::errno::Errno;
use nix::libc;

use crate::command::{Command, encode_all};
use crate::object::{Chain, Counters, Element, Place, Rule, Set, Table, attributes, number};
use crate::uapi;

/// Bytes before the attributes (`struct nfgenmsg`).
const HEADER: usize = 4;
/// Questions sent at once: their answers have to fit the socket's buffer.
const AT_ONCE: usize = 32;

/// A socket for nf_tables.
#[derive(Debug)]
pub struct Nft {
    netlink: Netlink,
}

/// How a batch ended without being refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Done,
    /// It may have happened: the answer is lost, and the ruleset has changed. To be looked at.
    Unknown,
    /// Another process changed the ruleset since we looked; nothing happened.
    Outdated,
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

    /// A table, or `None`.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn table(&mut self, place: Place) -> Answer<Option<Table>> {
        let request = attributes(
            place.family.nf_number(),
            &[Nla::text(uapi::TABLE_NAME, place.table)],
        )?;
        let answers = self.ask(uapi::GETTABLE, &[request])?;
        Ok(answers
            .iter()
            .flatten()
            .map(|m| Table::decode(content(m)))
            .next())
    }

    /// Chains by their names, `None` for each that is missing.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn chains(&mut self, place: Place, names: &[&str]) -> Answer<Vec<Option<Chain>>> {
        let name = |name: &&str| {
            vec![
                Nla::text(uapi::CHAIN_TABLE, place.table),
                Nla::text(uapi::CHAIN_NAME, name),
            ]
        };
        let names: Vec<Vec<Nla>> = names.iter().map(name).collect();
        self.each(uapi::GETCHAIN, place.family, &names, Chain::decode)
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

    /// Every set of a table; none for a missing one.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn sets(&mut self, place: Place) -> Answer<Vec<Set>> {
        let table = [Nla::text(uapi::SET_TABLE, place.table)];
        self.list(uapi::GETSET, place.family, &table, Set::decode)
    }

    /// The rules of a chain in order; none for a missing one.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn rules(&mut self, place: Place, chain: &str) -> Answer<Vec<Rule>> {
        let names = [
            Nla::text(uapi::RULE_TABLE, place.table),
            Nla::text(uapi::RULE_CHAIN, chain),
        ];
        self.list(uapi::GETRULE, place.family, &names, Rule::decode)
    }

    /// Every element of a set; none for a missing one.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn elements(&mut self, place: Place, set: &str) -> Answer<Vec<Element>> {
        self.elements_as(place, set, Element::decode_list)
    }

    /// Every element of a set that has hardly more than so many; `None` where it has, or could not be read at
    /// once. The answer comes to a socket of its own, as what is left of a longer one is not read.
    pub fn elements_of_few(&self, place: Place, set: &str, most: usize) -> Option<Vec<Element>> {
        let names = [
            Nla::text(uapi::ELEM_LIST_TABLE, place.table),
            Nla::text(uapi::ELEM_LIST_SET, set),
        ];
        let mut all = Vec::new();
        let take = |list: &[u8]| {
            all.extend(Element::decode_list(list));
            match all.len() > most {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let own = Nft::open().ok()?;
        let is_whole = own.until(uapi::GETSETELEM, place.family, &names, take);
        is_whole.is_ok_and(|is_whole| is_whole).then_some(all)
    }

    /// Every element of a set, each with what it has counted; none where there is no such set.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn counted_elements(
        &mut self,
        place: Place,
        set: &str,
    ) -> Answer<Vec<(Element, Option<Counters>)>> {
        self.elements_as(place, set, Element::decode_counted)
    }

    fn elements_as<T>(
        &mut self,
        place: Place,
        set: &str,
        decode: fn(&[u8]) -> Vec<T>,
    ) -> Answer<Vec<T>> {
        let names = [
            Nla::text(uapi::ELEM_LIST_TABLE, place.table),
            Nla::text(uapi::ELEM_LIST_SET, set),
        ];
        let lists = self.list(uapi::GETSETELEM, place.family, &names, decode)?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Elements by set and key, `None` for each that is missing.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn lookup(
        &mut self,
        place: Place,
        keys: &[(String, Vec<u8>)],
    ) -> Answer<Vec<Option<Element>>> {
        let requests: Vec<Vec<u8>> = keys
            .iter()
            .map(|(set, key)| {
                let one = [
                    Nla::text(uapi::ELEM_LIST_TABLE, place.table),
                    Nla::text(uapi::ELEM_LIST_SET, set),
                    Nla::nested(uapi::ELEM_LIST_ELEMENTS, [Element::encode_key(key)]),
                ];
                attributes(place.family.nf_number(), &one)
            })
            .collect::<Answer<_>>()?;
        let answers = self.ask(uapi::GETSETELEM, &requests)?;
        let decode = |answer: &Option<Message>| match answer {
            None => Ok(None),
            Some(answer) => {
                let element = Element::decode_list(content(answer)).into_iter().next();
                element.map(Some).ok_or(UNREADABLE.into())
            }
        };
        answers.iter().map(decode).collect()
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

    /// Commits all commands or none, if the ruleset still has that generation.
    ///
    /// # Errors
    /// What the kernel refused, and of which command.
    pub fn commit(&mut self, generation: u32, commands: &[Command]) -> Result<Outcome, Error> {
        if commands.is_empty() {
            return Ok(Outcome::Done);
        }
        let (index, refusal) = match self.send_batch(generation, commands) {
            Ok(None) => return Ok(Outcome::Done),
            Ok(Some((_, refusal))) if refusal.errno == STALE => return Ok(Outcome::Outdated),
            Ok(Some(refused)) => refused,
            Err(refusal) => match self.is_past(generation) {
                Ok(true) => return Ok(Outcome::Unknown),
                Ok(false) => (None, refusal),
                Err(also) => return Err(doubt().with_details(refusal).and(also)),
            },
        };
        let command = index.and_then(|index| commands.get(index));
        let what = command.map_or("commit the changes".to_owned(), ToString::to_string);
        let code = match refusal.errno {
            Errno::ETIMEDOUT | Errno::ENOBUFS => Code::TryAgainLater,
            _ => Code::System,
        };
        Err(Error::new(code, format!("nf_tables: {what}")).with_details(refusal))
    }

    /// Whether the ruleset has left a generation behind. Where the answer to a batch is lost, this says
    /// whether it may have been done.
    fn is_past(&mut self, generation: u32) -> Result<bool, Error> {
        while let Ok(Some(_)) = self.netlink.received() {}
        Ok(self.generation()? != generation)
    }

    /// Sends a batch and waits for its end. Gives the first refusal and the index of the command that
    /// it is of.
    fn send_batch(
        &mut self,
        generation: u32,
        commands: &[Command],
    ) -> Answer<Option<(Option<usize>, Refusal)>> {
        let begin = self.netlink.next_sequence();
        let generation = [Nla::be32(uapi::BATCH_GENID, generation)];
        let mut bytes = frame(uapi::BATCH_BEGIN, begin, &generation)?;
        let messages = encode_all(commands)?;
        let mut indexes = HashMap::with_capacity(messages.len());
        let mut last = begin;
        let count = messages.len();
        for (number, (index, request)) in messages.into_iter().enumerate() {
            last = self.netlink.next_sequence();
            // Not on the batch's end: kernels before 6.10 do not answer there.
            let ack = if number + 1 == count {
                libc::NLM_F_ACK
            } else {
                0
            };
            let flags = request.flags | (libc::NLM_F_REQUEST | ack) as u16;
            bytes.extend(message(request.kind, flags, last, &request.body));
            indexes.insert(last, index);
        }
        bytes.extend(frame(uapi::BATCH_END, self.netlink.next_sequence(), &[])?);
        self.netlink.reserve(bytes.len())?;
        self.netlink.send(&bytes)?;
        let refused = self.settle(begin, last)?;
        Ok(refused.map(|(sequence, refusal)| (indexes.get(&sequence).copied(), refusal)))
    }

    /// Has the kernel check commands without carrying them out: a batch without its end. Gives the refused
    /// ones by their index.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn check(&mut self, commands: &[Command]) -> Result<Vec<(usize, Refusal)>, Error> {
        self.send_check(commands).map_err(|refusal| {
            Error::new(Code::System, "nf_tables: try the table").with_details(refusal)
        })
    }

    fn send_check(&mut self, commands: &[Command]) -> Answer<Vec<(usize, Refusal)>> {
        let begin = self.netlink.next_sequence();
        let mut bytes = frame(uapi::BATCH_BEGIN, begin, &[])?;
        let mut last = begin;
        let mut indexes = HashMap::new();
        let messages = encode_all(commands)?;
        let count = messages.len();
        for (number, (index, request)) in messages.into_iter().enumerate() {
            last = self.netlink.next_sequence();
            // Refusals come by themselves; answers to all of many would not fit the socket's buffer.
            let ack = if number + 1 == count {
                libc::NLM_F_ACK
            } else {
                0
            };
            let flags = request.flags | (libc::NLM_F_REQUEST | ack) as u16;
            bytes.extend(message(request.kind, flags, last, &request.body));
            indexes.insert(last, index);
        }
        self.netlink.reserve(bytes.len())?;
        self.netlink.send(&bytes)?;
        let mut refused = Vec::new();
        loop {
            for (reply, flags) in self.netlink.receive()? {
                if let Err(refusal) = verdict(&reply.body, flags) {
                    match indexes.get(&reply.sequence) {
                        Some(index) => refused.push((*index, refusal)),
                        None => return Err(refusal),
                    }
                }
                if reply.sequence == last {
                    return Ok(refused);
                }
            }
        }
    }

    /// Waits for the last command's answer, which comes whatever happened to those before, or for a
    /// refusal of the whole, which names the beginning.
    fn settle(&mut self, begin: u32, last: u32) -> Answer<Option<(u32, Refusal)>> {
        let mut refused = None;
        loop {
            for (reply, flags) in self.netlink.receive()? {
                if i32::from(reply.kind) != libc::NLMSG_ERROR {
                    continue;
                }
                let outcome = verdict(&reply.body, flags);
                if let (Err(refusal), None) = (outcome, &refused) {
                    refused = Some((reply.sequence, refusal));
                }
                if [begin, last].contains(&reply.sequence) {
                    return Ok(refused);
                }
            }
        }
    }
}

/// What the kernel says when the ruleset has another generation than the batch was made for
/// (`ERESTART`, which has no name outside the kernel).
const STALE: Errno = Errno::ERESTART;

/// An answer without what was requested.
const UNREADABLE: Errno = Errno::EBADMSG;

/// The error of a batch whose answer is lost.
pub fn doubt() -> Error {
    let msg = "nf_tables: no reply to the changes: either all of them were made, or none";
    Error::new(Code::System, msg)
}

/// The attributes of a message.
pub fn content(message: &Message) -> &[u8] {
    message.body.get(HEADER..).unwrap_or(&[])
}

/// The beginning or the end of a batch.
fn frame(kind: u16, sequence: u32, attributes: &[Nla]) -> Answer<Vec<u8>> {
    let [high, low] = uapi::BATCH_RESOURCE.to_be_bytes();
    let body = nla::body(&[uapi::UNSPEC, 0, high, low], attributes)?;
    Ok(message(kind, libc::NLM_F_REQUEST as u16, sequence, &body))
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
