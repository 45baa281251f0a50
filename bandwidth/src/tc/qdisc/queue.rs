//! The queue of a token bucket of ours.

use common::sys::netlink::{Message, Netlink, REPLACE, Refusal, attribute, u32_at};
use common::sys::nla::Nla;
use nix::libc;

use super::{GET_ONE, about, decode, delete, has_table};
use crate::queue::{FqCodel, Time};
use crate::tc::{ABSENT, BUCKET, HEADER, Handle, TCA_KIND, TCA_OPTIONS, handle_text};

/// The class of a token bucket whose queue it is.
pub const QUEUE: Handle = BUCKET | 1;
/// `2:`, the handle of every queue of ours.
const OUR_QUEUE: Handle = 0x0002_0000;
/// Attributes of an `fq_codel`.
const TCA_FQ_CODEL_TARGET: u16 = 1;
const TCA_FQ_CODEL_LIMIT: u16 = 2;
const TCA_FQ_CODEL_INTERVAL: u16 = 3;
const TCA_FQ_CODEL_MEMORY_LIMIT: u16 = 9;

/// What is in the place of a token bucket's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queued {
    /// The bucket's own, a `bfifo`.
    Fifo,
    /// An `fq_codel` under our handle.
    FqCodel(FqCodel),
    /// Something else, as `tc` prints it.
    Other(String),
}

/// The queue of a bucket of ours.
///
/// The kernel does not show the bucket's own, a `bfifo`, but refuses when a qdisc is requested by another
/// kind than it has (`tc_get_qdisc` in net/sched/sch_api.c).
pub(super) fn read(netlink: &mut Netlink, link: u32) -> Result<Queued, Refusal> {
    let kind = Nla::text(TCA_KIND, "bfifo");
    let found = match about(link, 0, QUEUE).request(netlink, GET_ONE, &[kind]) {
        Ok(replies) => replies.iter().find_map(|r| queued(r, link)),
        Err(refusal) if refusal.text.contains("qdisc name") => {
            let replies = match about(link, 0, QUEUE).request(netlink, GET_ONE, &[]) {
                Err(refusal) if !refusal.says(&ABSENT) => return Err(refusal),
                replies => replies.unwrap_or_default(),
            };
            let other = replies.iter().find_map(|r| queued(r, link));
            // "noop", which drops everything, is not shown either.
            Some(other.unwrap_or(Queued::Other("noop".into())))
        }
        Err(refusal) if refusal.says(&ABSENT) => None,
        Err(refusal) => return Err(refusal),
    };
    Ok(found.unwrap_or(Queued::Fifo))
}

/// Reads what an `RTM_NEWQDISC` says of a queue.
pub fn queued(message: &Message, link: u32) -> Option<Queued> {
    let qdisc = decode(message, link)?;
    let attributes = message.body.get(HEADER..)?;
    let options = attribute(attributes, TCA_OPTIONS);
    // Through a size table packets count for the bucket, too.
    let table = if has_table(attributes) {
        " with a size table"
    } else {
        ""
    };
    let is_ours = qdisc.kind == "fq_codel" && qdisc.handle == OUR_QUEUE && table.is_empty();
    let ours = options.filter(|_| is_ours);
    let ours = ours.and_then(fq_codel).map(Queued::FqCodel);
    let other = || format!("{} {}{table}", qdisc.kind, handle_text(qdisc.handle));
    Some(ours.unwrap_or_else(|| Queued::Other(other())))
}

fn fq_codel(options: &[u8]) -> Option<FqCodel> {
    let number = |kind| u32_at(attribute(options, kind)?, 0);
    Some(FqCodel {
        limit: number(TCA_FQ_CODEL_LIMIT)?,
        target: Time::answered(number(TCA_FQ_CODEL_TARGET)?),
        interval: Time::answered(number(TCA_FQ_CODEL_INTERVAL)?),
        memory: number(TCA_FQ_CODEL_MEMORY_LIMIT)?,
    })
}

/// Makes an `fq_codel` the queue of a bucket of ours, or changes the one that has our handle without losing a
/// packet of it.
///
/// # Errors
/// What the kernel refused; `ENOENT` where it has no `fq_codel`.
pub fn set_queue(netlink: &mut Netlink, link: u32, queue: FqCodel) -> Result<(), Refusal> {
    let attributes = [Nla::text(TCA_KIND, "fq_codel"), options_of_queue(queue)];
    let request = (libc::RTM_NEWQDISC, REPLACE);
    about(link, OUR_QUEUE, QUEUE)
        .request(netlink, request, &attributes)
        .map(drop)
}

fn options_of_queue(queue: FqCodel) -> Nla {
    let FqCodel {
        limit,
        target,
        interval,
        memory,
    } = queue;
    let numbers = [
        (TCA_FQ_CODEL_TARGET, target.given()),
        (TCA_FQ_CODEL_LIMIT, limit),
        (TCA_FQ_CODEL_INTERVAL, interval.given()),
        (TCA_FQ_CODEL_MEMORY_LIMIT, memory),
    ];
    let numbers = numbers.map(|(kind, number)| Nla::u32(kind, number));
    Nla::nested(TCA_OPTIONS, numbers.to_vec())
}

/// Deletes what is in the place of the queue of a bucket of ours. Until [`set_root`](super::set_root) gives it its own one it
/// drops everything.
///
/// # Errors
/// What the kernel refused.
pub fn delete_queue(netlink: &mut Netlink, link: u32) -> Result<(), Refusal> {
    delete(netlink, about(link, 0, QUEUE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tc::TCA_STAB;

    #[test]
    fn a_queue_is_read_with_all_numbers_that_were_written_and_only_under_our_handle() {
        let numbers = FqCodel {
            limit: 7,
            // The kernel does not round them.
            target: Time::answered(19_328),
            interval: Time::answered(114_304),
            memory: 262_144,
        };
        let table = || Nla::nested(TCA_STAB, Vec::new());
        let read = |handle, table: Option<Nla>| {
            let mut attributes = vec![Nla::text(TCA_KIND, "fq_codel"), options_of_queue(numbers)];
            attributes.extend(table);
            let message = Message {
                kind: libc::RTM_NEWQDISC,
                sequence: 1,
                body: about(7, handle, QUEUE).body(&attributes).unwrap(),
            };
            queued(&message, 7)
        };
        assert_eq!(read(OUR_QUEUE, None), Some(Queued::FqCodel(numbers)));
        let other = Queued::Other("fq_codel 3:".into());
        assert_eq!(read(0x0003_0000, None), Some(other));
        let sized = Queued::Other("fq_codel 2: with a size table".into());
        assert_eq!(read(OUR_QUEUE, Some(table())), Some(sized));
    }
}
