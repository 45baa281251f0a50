//! One batch of changes that happens whole or not at all.

use std::collections::HashMap;

use common::error::{Code, Error};
use common::sys::netlink::{Refusal, message, verdict};
use common::sys::nla::{self, Nla};
use nix::errno::Errno;
use nix::libc;

use super::{Answer, Nft};
use crate::command::{Command, encode_all};
use crate::uapi;

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

/// What the kernel says when the ruleset has another generation than the batch was made for
/// (`ERESTART`, which has no name outside the kernel).
const STALE: Errno = Errno::ERESTART;

/// Messages of commands.
struct Batch {
    bytes: Vec<u8>,
    /// The sequence numbers of its beginning and of its last command.
    begin: u32,
    last: u32,
    /// The commands' places, by the sequence numbers of their messages.
    indexes: HashMap<u32, usize>,
}

impl Batch {
    fn index(&self, sequence: u32) -> Option<usize> {
        self.indexes.get(&sequence).copied()
    }
}

impl Nft {
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
        let generation = [Nla::be32(uapi::BATCH_GENID, generation)];
        let mut batch = self.batch(&generation, commands)?;
        let end = self.netlink.next_sequence();
        batch.bytes.extend(frame(uapi::BATCH_END, end, &[])?);
        self.send_all(&batch)?;
        let refused = self.settle(batch.begin, batch.last)?;
        Ok(refused.map(|(sequence, refusal)| (batch.index(sequence), refusal)))
    }

    /// A batch without its end.
    fn batch(&mut self, begins_with: &[Nla], commands: &[Command]) -> Answer<Batch> {
        let begin = self.netlink.next_sequence();
        let mut bytes = frame(uapi::BATCH_BEGIN, begin, begins_with)?;
        let messages = encode_all(commands)?;
        let mut indexes = HashMap::with_capacity(messages.len());
        let mut last = begin;
        let count = messages.len();
        for (number, (index, request)) in messages.into_iter().enumerate() {
            last = self.netlink.next_sequence();
            // Refusals come by themselves, and answers to all of many would not fit the socket's buffer. Not on
            // the batch's end: kernels before 6.10 do not answer there.
            let ack = if number + 1 == count {
                libc::NLM_F_ACK
            } else {
                0
            };
            let flags = request.flags | (libc::NLM_F_REQUEST | ack) as u16;
            bytes.extend(message(request.kind, flags, last, &request.body));
            indexes.insert(last, index);
        }
        Ok(Batch {
            bytes,
            begin,
            last,
            indexes,
        })
    }

    fn send_all(&mut self, batch: &Batch) -> Answer<()> {
        self.netlink.reserve(batch.bytes.len())?;
        self.netlink.send(&batch.bytes)
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
        let batch = self.batch(&[], commands)?;
        self.send_all(&batch)?;
        let mut refused = Vec::new();
        loop {
            for (reply, flags) in self.netlink.receive()? {
                if let Err(refusal) = verdict(&reply.body, flags) {
                    match batch.index(reply.sequence) {
                        Some(index) => refused.push((index, refusal)),
                        None => return Err(refusal),
                    }
                }
                if reply.sequence == batch.last {
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

/// The error of a batch whose answer is lost.
pub fn doubt() -> Error {
    let msg = "nf_tables: no reply to the changes: either all of them were made, or none";
    Error::new(Code::System, msg)
}

/// The beginning or the end of a batch.
fn frame(kind: u16, sequence: u32, attributes: &[Nla]) -> Answer<Vec<u8>> {
    let [high, low] = uapi::BATCH_RESOURCE.to_be_bytes();
    let body = nla::body(&[uapi::UNSPEC, 0, high, low], attributes)?;
    Ok(message(kind, libc::NLM_F_REQUEST as u16, sequence, &body))
}
