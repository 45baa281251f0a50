//! Queueing disciplines: the root of a link, and the hook qdiscs `ingress` and `clsact`.
//!
//! Layouts: include/uapi/linux/pkt_sched.h.

use common::sys::netlink::{
    CREATE, GET, Message, Netlink, REPLACE, Refusal, attribute, each_attribute, text, u16_at,
    u32_at, u64_at,
};
use common::sys::nla::Nla;
use nix::libc;

use super::{
    ABSENT, BUCKET, HEADER, HOOKS, Handle, Header, INGRESS, ROOT, TCA_KIND, TCA_OPTIONS,
    handle_text, header,
};
use crate::queue::{FqCodel, Time};
use crate::tbf::Tbf;

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_PRATE64: u16 = 5;
/// Bytes of a `struct tc_ratespec`: cell_log, linklayer, overhead, cell_align, mpu and rate.
const RATESPEC: usize = 12;
/// `TC_LINKLAYER_ATM`; Ethernet and "not set" count alike.
const LINKLAYER_ATM: u8 = 2;
/// `TC_LINKLAYER_MASK`
const LINKLAYER: u8 = 0x0f;
/// Reads one qdisc: listing would cost those of every link of the node. The kernel replies as it reports
/// changes, which the requester gets only with NLM_F_ECHO (`qdisc_notify`).
const GET_ONE: (u16, u16) = (libc::RTM_GETQDISC, libc::NLM_F_ECHO as u16);
/// The class of a token bucket whose queue it is.
pub const QUEUE: Handle = BUCKET | 1;
/// `2:`, the handle of every queue of ours.
const OUR_QUEUE: Handle = 0x0002_0000;
/// Attributes of an `fq_codel`.
const TCA_FQ_CODEL_TARGET: u16 = 1;
const TCA_FQ_CODEL_LIMIT: u16 = 2;
const TCA_FQ_CODEL_INTERVAL: u16 = 3;
const TCA_FQ_CODEL_MEMORY_LIMIT: u16 = 9;

/// A qdisc as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qdisc {
    /// `tbf`, `ingress`, `clsact`, `htb`, …
    pub kind: String,
    /// Its handle.
    pub handle: Handle,
    /// Its numbers, if it is a token bucket.
    pub bucket: Option<Bucket>,
    /// The queue of a token bucket of ours.
    pub queue: Queued,
}

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

/// A token bucket as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The numbers that we set.
    pub tbf: Tbf,
    /// `peakrate` in bytes per second, which we never set; 0 for none.
    pub peak: u64,
    /// How packets are counted.
    pub count: Count,
}

/// How a token bucket counts packets: for their length alone, unless set otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Bytes that are added to each packet (a negative number wraps).
    pub overhead: u16,
    /// Bytes that each packet counts for at least.
    pub mpu: u16,
    /// Whether packets are counted in cells of ATM.
    pub atm: bool,
}

/// Which of the two hook qdiscs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// Only for packets that come in.
    Ingress,
    /// For both directions.
    Clsact,
}

impl HookKind {
    /// As `tc` calls it.
    pub fn text(self) -> &'static str {
        match self {
            HookKind::Ingress => "ingress",
            HookKind::Clsact => "clsact",
        }
    }
}

/// Reads the root qdisc of a link; `None` when it is the default one.
///
/// # Errors
/// What the kernel refused.
pub fn root(netlink: &mut Netlink, link: u32) -> Result<Option<Qdisc>, Refusal> {
    // A root that only marks "none" has handle 0.
    Ok(get(netlink, link, ROOT)?.filter(|qdisc| qdisc.handle != 0))
}

/// [`root`], and the queue of a bucket of ours.
///
/// # Errors
/// What the kernel refused.
pub fn root_and_queue(netlink: &mut Netlink, link: u32) -> Result<Option<Qdisc>, Refusal> {
    let mut root = root(netlink, link)?;
    if let Some(root) = root
        .as_mut()
        .filter(|root| root.handle == BUCKET && root.bucket.is_some())
    {
        root.queue = queue(netlink, link)?;
    }
    Ok(root)
}

/// The queue of a bucket of ours.
///
/// The kernel does not show the bucket's own, a `bfifo`, but refuses when a qdisc is requested by another
/// kind than it has (`tc_get_qdisc` in net/sched/sch_api.c).
fn queue(netlink: &mut Netlink, link: u32) -> Result<Queued, Refusal> {
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
    let options = attribute(message.body.get(HEADER..)?, TCA_OPTIONS);
    let ours = options.filter(|_| qdisc.kind == "fq_codel" && qdisc.handle == OUR_QUEUE);
    let ours = ours.and_then(fq_codel).map(Queued::FqCodel);
    let other = || format!("{} {}", qdisc.kind, handle_text(qdisc.handle));
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

/// Deletes what is in the place of the queue of a bucket of ours. Until [`set_root`] gives it its own one it
/// drops everything.
///
/// # Errors
/// What the kernel refused.
pub fn delete_queue(netlink: &mut Netlink, link: u32) -> Result<(), Refusal> {
    delete(netlink, about(link, 0, QUEUE))
}

/// Reads the ingress or clsact qdisc of a link.
///
/// # Errors
/// What the kernel refused.
pub fn hook(netlink: &mut Netlink, link: u32) -> Result<Option<Qdisc>, Refusal> {
    get(netlink, link, INGRESS)
}

fn get(netlink: &mut Netlink, link: u32, parent: Handle) -> Result<Option<Qdisc>, Refusal> {
    match about(link, 0, parent).request(netlink, GET_ONE, &[]) {
        // None: one that the kernel does not show.
        Ok(replies) => Ok(replies.iter().find_map(|reply| decode(reply, link))),
        Err(refusal) if refusal.says(&ABSENT) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Makes a token bucket the root qdisc of a link, or changes the one that has our handle without
/// losing a packet of its queue.
///
/// # Errors
/// What the kernel refused.
pub fn set_root(netlink: &mut Netlink, link: u32, tbf: Tbf) -> Result<(), Refusal> {
    let attributes = [Nla::text(TCA_KIND, "tbf"), options(tbf)];
    let request = (libc::RTM_NEWQDISC, REPLACE);
    about(link, BUCKET, ROOT)
        .request(netlink, request, &attributes)
        .map(drop)
}

/// Deletes the root qdisc of a link; none there is success.
///
/// # Errors
/// What the kernel refused.
pub fn delete_root(netlink: &mut Netlink, link: u32) -> Result<(), Refusal> {
    delete(netlink, about(link, 0, ROOT))
}

/// Creates a hook qdisc.
///
/// # Errors
/// What the kernel refused, `EEXIST` when the link has one.
pub fn add_hook(netlink: &mut Netlink, link: u32, kind: HookKind) -> Result<(), Refusal> {
    let kind = Nla::text(TCA_KIND, kind.text());
    let request = (libc::RTM_NEWQDISC, CREATE);
    about(link, HOOKS, INGRESS)
        .request(netlink, request, &[kind])
        .map(drop)
}

/// Deletes the hook qdisc of a link with all its filters; none there is success.
///
/// # Errors
/// What the kernel refused.
pub fn delete_hook(netlink: &mut Netlink, link: u32) -> Result<(), Refusal> {
    delete(netlink, about(link, 0, INGRESS))
}

fn delete(netlink: &mut Netlink, about: Header) -> Result<(), Refusal> {
    match about.request(netlink, (libc::RTM_DELQDISC, GET), &[]) {
        Err(refusal) if !refusal.says(&ABSENT) => Err(refusal),
        _ => Ok(()),
    }
}

fn about(index: u32, handle: Handle, parent: Handle) -> Header {
    Header {
        index,
        handle,
        parent,
        info: 0,
    }
}

/// `struct tc_tbf_qopt`, and the rate once more where 32 bits do not hold it.
fn options(tbf: Tbf) -> Nla {
    let Tbf {
        rate,
        buffer,
        limit,
    } = tbf;
    let short = u32::try_from(rate).unwrap_or(u32::MAX);
    let mut parms = [0; RATESPEC - 4].to_vec();
    parms.extend(short.to_ne_bytes());
    parms.extend([0; RATESPEC]);
    parms.extend(limit.to_ne_bytes());
    parms.extend(buffer.to_ne_bytes());
    parms.extend([0; 4]);
    let mut options = vec![Nla::value(TCA_TBF_PARMS, parms)];
    if u64::from(short) != rate {
        options.push(Nla::value(TCA_TBF_RATE64, rate.to_ne_bytes()));
    }
    Nla::nested(TCA_OPTIONS, options)
}

/// Reads an `RTM_NEWQDISC` about a link; `None` for any other message.
pub fn decode(message: &Message, link: u32) -> Option<Qdisc> {
    if message.kind != libc::RTM_NEWQDISC {
        return None;
    }
    let head = header(&message.body).filter(|head| head.index == link)?;
    let attributes = message.body.get(HEADER..)?;
    let kind = text(attribute(attributes, TCA_KIND)?);
    let bucket = attribute(attributes, TCA_OPTIONS)
        .filter(|_| kind == "tbf")
        .and_then(bucket);
    Some(Qdisc {
        kind,
        handle: head.handle,
        bucket,
        queue: Queued::Fifo,
    })
}

fn bucket(options: &[u8]) -> Option<Bucket> {
    let mut bucket = Bucket {
        tbf: Tbf {
            rate: 0,
            buffer: 0,
            limit: 0,
        },
        peak: 0,
        count: Count::default(),
    };
    let (mut rate64, mut peak64) = (None, None);
    for (kind, value) in each_attribute(options) {
        match kind {
            TCA_TBF_PARMS => {
                bucket.tbf.rate = u32_at(value, RATESPEC - 4)?.into();
                bucket.count = Count {
                    overhead: u16_at(value, 2)?,
                    mpu: u16_at(value, 6)?,
                    atm: value.get(1)? & LINKLAYER == LINKLAYER_ATM,
                };
                bucket.peak = u32_at(value, 2 * RATESPEC - 4)?.into();
                bucket.tbf.limit = u32_at(value, 2 * RATESPEC)?;
                bucket.tbf.buffer = u32_at(value, 2 * RATESPEC + 4)?;
            }
            TCA_TBF_RATE64 => rate64 = u64_at(value, 0),
            TCA_TBF_PRATE64 => peak64 = u64_at(value, 0),
            _ => {}
        }
    }
    bucket.tbf.rate = rate64.unwrap_or(bucket.tbf.rate);
    bucket.peak = peak64.unwrap_or(bucket.peak);
    Some(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(tbf: Tbf) -> Option<Qdisc> {
        let attributes = [Nla::text(TCA_KIND, "tbf"), options(tbf)];
        let body = about(7, BUCKET, ROOT).body(&attributes).unwrap();
        let message = Message {
            kind: libc::RTM_NEWQDISC,
            sequence: 1,
            body,
        };
        decode(&message, 7)
    }

    #[test]
    fn a_bucket_is_read_as_it_was_written() {
        for rate in [1, 1_000_000, u64::from(u32::MAX), 50_000_000_000] {
            let tbf = Tbf {
                rate,
                buffer: 1_562_500,
                limit: 125_000,
            };
            let qdisc = read_back(tbf).unwrap();
            assert_eq!((qdisc.kind.as_str(), qdisc.handle), ("tbf", BUCKET));
            assert_eq!(
                qdisc.bucket,
                Some(Bucket {
                    tbf,
                    peak: 0,
                    count: Count::default()
                })
            );
        }
    }

    #[test]
    fn a_queue_is_read_with_all_numbers_that_were_written_and_only_under_our_handle() {
        let numbers = FqCodel {
            limit: 7,
            // The kernel rounds none of them.
            target: Time::answered(19_328),
            interval: Time::answered(114_304),
            memory: 262_144,
        };
        let read = |handle| {
            let attributes = [Nla::text(TCA_KIND, "fq_codel"), options_of_queue(numbers)];
            let message = Message {
                kind: libc::RTM_NEWQDISC,
                sequence: 1,
                body: about(7, handle, QUEUE).body(&attributes).unwrap(),
            };
            queued(&message, 7)
        };
        assert_eq!(read(OUR_QUEUE), Some(Queued::FqCodel(numbers)));
        let other = Queued::Other("fq_codel 3:".into());
        assert_eq!(read(0x0003_0000), Some(other));
    }

    #[test]
    fn truncated_options_are_no_bucket() {
        assert_eq!(bucket(&[12, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
