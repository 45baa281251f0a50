//! Queueing disciplines: the root of a link, and the hook qdiscs `ingress` and `clsact`.
//!
//! Layouts: include/uapi/linux/pkt_sched.h.

mod queue;

use common::sys::netlink::{
    CREATE, GET, Message, Netlink, REPLACE, Refusal, attribute, each_attribute, text, u16_at,
    u32_at, u64_at,
};
use common::sys::nla::Nla;
use nix::libc;

pub use self::queue::{QUEUE, Queued, delete_queue, queued, set_queue};
use super::{
    ABSENT, BUCKET, HEADER, HOOKS, Handle, Header, INGRESS, ROOT, TCA_KIND, TCA_OPTIONS, TCA_STAB,
    header,
};
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
    /// Whether a size table says what each packet counts for (tc-stab(8)).
    pub table: bool,
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
        root.queue = queue::read(netlink, link)?;
    }
    Ok(root)
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
        .and_then(|options| bucket(options, has_table(attributes)));
    Some(Qdisc {
        kind,
        handle: head.handle,
        bucket,
        queue: Queued::Fifo,
    })
}

/// Whether a qdisc has a size table, through which it counts packets.
fn has_table(attributes: &[u8]) -> bool {
    attribute(attributes, TCA_STAB).is_some()
}

fn bucket(options: &[u8], table: bool) -> Option<Bucket> {
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
                    table,
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
mod tests;
