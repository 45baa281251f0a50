//! Every limit of the node, with what the kernel counts, for the tool for people.

use std::cell::OnceCell;
use std::collections::HashMap;

use common::cache::Cache;
use common::decode::Object;
use common::error::{Code, Context, Error};
use common::json::Json;
use common::sys::link::Link;
use common::sys::netlink::{Netlink, Refusal};
use common::{Attachment, Request};

use crate::ifb;
use crate::look::Look;
use crate::owner::{Mark, Owner};
use crate::plan::{Numbers, Side};
use crate::queue::Queue;
use crate::status;
use crate::tbf::Tbf;
use crate::tc::counters::{Counted, roots};
use crate::tc::filter;
use crate::tc::qdisc::Queued;
use crate::tc::{Hook, qdisc};

/// A limit of one direction, with what was counted since it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The owner, where the state or the cache names one.
    pub owner: Option<Attachment>,
    /// The link that has the token bucket.
    pub device: String,
    /// The link whose traffic is limited, where it is known.
    pub link: Option<String>,
    /// As the configuration calls it: `ingress` is towards the container.
    pub direction: &'static str,
    /// Bits per second.
    pub rate: u64,
    /// Bytes.
    pub burst: u64,
    /// The kind of the queue: `fifo` for the bucket's own, `fq_codel`, or another that was put there.
    pub queue: String,
    /// How long a packet may wait, in microseconds: in a FIFO as `tc` computes it from the limit, in an
    /// `fq_codel` for longer than its interval (`target`).
    pub latency: u64,
    /// What may wait, in bytes: of an `fq_codel` in bytes of the kernel's memory (`memory_limit`).
    pub limit: u32,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u64,
    /// Packets dropped.
    pub drops: u32,
    /// How often a packet had to wait.
    pub overlimits: u32,
    /// Bytes that wait now.
    pub backlog: u32,
}

impl Limit {
    /// The limit of a link, of which nothing else is known yet.
    fn of(device: &Link, direction: &'static str, counted: &Counted) -> Limit {
        Limit {
            bytes: counted.bytes,
            packets: counted.packets,
            drops: counted.drops,
            overlimits: counted.overlimits,
            backlog: counted.backlog,
            ..Limit::planned(
                device.name.clone(),
                direction,
                counted.bucket,
                &counted.queue,
            )
        }
    }

    /// A limit that nothing has passed.
    fn planned(device: String, direction: &'static str, bucket: Tbf, queue: &Queued) -> Limit {
        let waiting = u64::from(bucket.limit).saturating_sub(bucket.burst());
        let latency = waiting.saturating_mul(1_000_000) / bucket.rate.max(1);
        let (queue, latency, limit) = match queue {
            Queued::Fifo => ("fifo", latency, bucket.limit),
            Queued::FqCodel(found) => ("fq_codel", found.target.microseconds(), found.memory),
            Queued::Other(other) => (other.as_str(), latency, bucket.limit),
        };
        Limit {
            owner: None,
            device,
            link: None,
            direction,
            rate: bucket.rate.saturating_mul(8),
            burst: bucket.burst(),
            queue: queue.to_owned(),
            latency,
            limit,
            bytes: 0,
            packets: 0,
            drops: 0,
            overlimits: 0,
            backlog: 0,
        }
    }
}

/// Every limit of the node.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn limits(cache: &Cache) -> Result<Vec<Limit>, Error> {
    let mut host = Netlink::route()?;
    let links = host
        .links(None)
        .context(Code::System, || "list links".into())?;
    let buckets = roots(&mut host).context(Code::System, || "list qdiscs".into())?;
    let ways = Ways::of(&mut host, &links)?;
    let limit = |link: &Link| {
        let counted = buckets.get(&link.index)?;
        match link.kind.as_str() {
            "ifb" if is_ours(link) => Some(ways.behind_ifb(link, counted)),
            // Other people's buckets.
            "ifb" => None,
            kind if kind == "veth" || Mark::of(link).is_some() => Some(ways.towards(link, counted)),
            _ => None,
        }
    };
    let mut all: Vec<Limit> = links.iter().filter_map(limit).collect();
    let names = named_in(cache);
    for limit in all.iter_mut().filter(|limit| limit.owner.is_none()) {
        let mut known = [Some(&limit.device), limit.link.as_ref()]
            .into_iter()
            .flatten();
        limit.owner = known.find_map(|name| names.get(name)).cloned();
    }
    all.sort_by(|a, b| (&a.link, a.direction).cmp(&(&b.link, b.direction)));
    Ok(all)
}

/// What this kernel has, found out at most once, and only where that matters.
#[derive(Debug, Default)]
pub struct Kernel(OnceCell<bool>);

impl Kernel {
    /// The queue that ADD would make. Where the kernel does not say what it has, that is what ADD tries first.
    fn queued(&self, queue: Queue) -> Queued {
        let has_it = || status::has_fq_codel().unwrap_or(true);
        match queue {
            Queue::Best(_) if !self.0.get_or_init(has_it) => Queued::Fifo,
            queue => queue.fq_codel().map_or(Queued::Fifo, Queued::FqCodel),
        }
    }
}

/// The limits of an attachment's plan that the kernel does not have, or to which not all leads that is
/// to be limited.
///
/// # Errors
/// As CHECK's, except for the drifts.
pub fn missing(request: &Request, kernel: &Kernel) -> Result<Vec<Limit>, Error> {
    let Some(look) = Look::at(request)? else {
        return Ok(Vec::new());
    };
    let limit = |(device, numbers, hook): (String, Numbers, Hook)| {
        let queue = kernel.queued(numbers.queue);
        let direction = direction(look.place.side, hook);
        Limit {
            owner: Some(request.attachment.clone()),
            link: Some(look.plan.link.clone()),
            ..Limit::planned(device, direction, numbers.ours, &queue)
        }
    };
    Ok(look.difference().missing().into_iter().map(limit).collect())
}

/// As the configuration calls what crosses a link's hook.
pub(crate) fn direction(side: Side, hook: Hook) -> &'static str {
    match (side, hook) {
        (Side::Host, Hook::Egress) | (Side::Container, Hook::Ingress) => "ingress",
        (Side::Host, Hook::Ingress) | (Side::Container, Hook::Egress) => "egress",
    }
}

/// Whether an ifb has a mark or a name like ours.
fn is_ours(ifb: &Link) -> bool {
    Mark::of(ifb).is_some() || ifb::hook_of_name(&ifb.name).is_some()
}

/// What leads where.
struct Ways<'a> {
    links: HashMap<u32, &'a Link>,
    /// The marks of ifbs, by the link that each names.
    marks: HashMap<u32, Mark>,
    /// The link that redirects to each ifb, and its hook, where a name or a mark does not say both: the
    /// reference makes ifbs without a mark, and anybody may rename one.
    senders: HashMap<u32, (u32, Hook)>,
}

impl Ways<'_> {
    fn of<'a>(host: &mut Netlink, links: &'a [Link]) -> Result<Ways<'a>, Error> {
        let marks = links
            .iter()
            .filter_map(Mark::of)
            .map(|mark| (mark.link, mark));
        let is_unclear = |link: &Link| {
            let is_said = Mark::of(link).is_some() && ifb::hook_of_name(&link.name).is_some();
            link.kind == "ifb" && is_ours(link) && !is_said
        };
        Ok(Ways {
            marks: marks.collect(),
            senders: match links.iter().any(is_unclear) {
                true => senders(host, links).context(Code::System, || "list filters".into())?,
                false => HashMap::new(),
            },
            links: links.iter().map(|link| (link.index, link)).collect(),
        })
    }

    /// The limit of what an ifb is sent: of a veth's ingress hook, so of what the container sends, or of
    /// its egress hook, where only some of what goes there is limited.
    fn behind_ifb(&self, ifb: &Link, counted: &Counted) -> Limit {
        let mark = Mark::of(ifb);
        let sender = self.senders.get(&ifb.index);
        let index = mark.as_ref().map(|mark| mark.link);
        let index = index.or_else(|| sender.map(|(link, _)| *link));
        let link = index.and_then(|index| self.links.get(&index));
        let hook = ifb::hook_of_name(&ifb.name);
        let hook = hook.or_else(|| sender.map(|(_, hook)| *hook));
        let hook = hook.unwrap_or(Hook::Ingress);
        Limit {
            owner: mark.and_then(|mark| named(mark.owner)),
            link: link.map(|link| link.name.clone()),
            ..Limit::of(ifb, direction(Side::Host, hook), counted)
        }
    }

    /// The limit at the root of a veth: of what is sent to the container.
    fn towards(&self, veth: &Link, counted: &Counted) -> Limit {
        let mark = Mark::of(veth).or_else(|| self.marks.get(&veth.index).cloned());
        Limit {
            owner: mark.and_then(|mark| named(mark.owner)),
            link: Some(veth.name.clone()),
            ..Limit::of(veth, "ingress", counted)
        }
    }
}

/// The links to which packets of veths are redirected, each with one that does so and its hook.
fn senders(host: &mut Netlink, links: &[Link]) -> Result<HashMap<u32, (u32, Hook)>, Refusal> {
    let mut senders = HashMap::new();
    for link in links.iter().filter(|link| link.kind == "veth") {
        let Some(hook) = qdisc::hook(host, link.index)? else {
            continue;
        };
        for (hook, filter) in filter::of_hooks(host, link.index, &hook.kind)? {
            let target = filter.rule.and_then(|rule| rule.verdict.target());
            senders.extend(target.map(|target| (target, (link.index, hook))));
        }
    }
    Ok(senders)
}

fn named(owner: Owner) -> Option<Attachment> {
    match owner {
        Owner::Named(attachment) => Some(attachment),
        Owner::Hashed(..) => None,
    }
}

/// The interfaces in the host that results name, each with its attachment.
fn named_in(cache: &Cache) -> HashMap<String, Attachment> {
    let entries = cache.entries.iter();
    let names = entries.flat_map(|entry| {
        let names = names_in(entry.result.as_ref());
        names
            .into_iter()
            .map(|name| (name, entry.attachment.clone()))
    });
    names.collect()
}

/// The names of a result's interfaces in the host.
fn names_in(result: Option<&Json>) -> Vec<String> {
    let Some(Json::Object(fields)) = result else {
        return Vec::new();
    };
    let interfaces = Object::root(fields).list("interfaces").unwrap_or_default();
    let interfaces = interfaces.iter().filter_map(|item| item.object().ok());
    let in_host = interfaces.filter(|i| i.nonempty("sandbox").ok().flatten().is_none());
    in_host
        .filter_map(|i| i.string("name").ok().flatten())
        .collect()
}

/// The owners of all limits with a mark, which is on an ifb or on the limited link. Names that do not fit
/// are hashed, and known by the cache alone.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub(crate) fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
    let links = Netlink::route()?
        .links(None)
        .context(Code::System, || "list links".into())?;
    let marks = links.iter().filter_map(Mark::of);
    Ok(marks.map(|mark| attachment(mark.owner, cache)).collect())
}

fn attachment(owner: Owner, cache: &Cache) -> Attachment {
    let mut known = cache.entries.iter().map(|entry| &entry.attachment);
    let known = known.find(|known| Owner::of(known) == owner);
    match (known, owner) {
        (Some(known), _) => known.clone(),
        (None, Owner::Named(attachment)) => attachment,
        (None, hashed) => Attachment {
            network: String::new(),
            container: hashed.to_string(),
            ifname: String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{FqCodel, Time};

    #[test]
    fn what_may_wait_is_what_the_queue_says() {
        let bucket = Tbf {
            rate: 1_000_000,
            buffer: 156_250,
            limit: 35_000,
        };
        let numbers = FqCodel {
            limit: 10_240,
            target: Time::answered(5_000),
            interval: Time::answered(100_000),
            memory: 2_000_000,
        };
        let other = Queued::Other("pfifo 8001:".into());
        for (queue, expected) in [
            (Queued::Fifo, ("fifo", 25_000, 35_000)),
            (Queued::FqCodel(numbers), ("fq_codel", 5_000, 2_000_000)),
            (other, ("pfifo 8001:", 25_000, 35_000)),
        ] {
            let limit = Limit::planned("veth0".into(), "ingress", bucket, &queue);
            let found = (limit.queue.as_str(), limit.latency, limit.limit);
            assert_eq!(found, expected);
        }
    }
}
