//! Every limit of the node, with what the kernel counts, for the tool for people.

use common::Attachment;
use common::cache::Cache;
use common::decode::Object;
use common::error::{Code, Context, Error};
use common::json::Json;
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use netlink_packet_route::link::InfoKind;

use crate::owner::{Mark, Owner};
use crate::plan::Hook;
use crate::tc::counters::{Counted, roots};
use crate::tc::filter;
use crate::tc::qdisc;

/// The beginnings of our ifbs' names; the reference's begin with the first.
const PREFIXES: [&str; 2] = ["bwp", "bwe"];

/// A limit of one direction, with what was counted since it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Whose it is, where the state or the cache says so.
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
    /// How long a packet may wait, in microseconds: as `tc` computes it from the limit.
    pub latency: u64,
    /// What may wait, in bytes.
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
    fn of(device: &Link, direction: &'static str, counted: Counted) -> Limit {
        let bucket = counted.bucket;
        let waiting = u64::from(bucket.limit).saturating_sub(bucket.burst());
        Limit {
            owner: None,
            device: device.name.clone(),
            link: None,
            direction,
            rate: bucket.rate.saturating_mul(8),
            burst: bucket.burst(),
            latency: waiting.saturating_mul(1_000_000) / bucket.rate.max(1),
            limit: bucket.limit,
            bytes: counted.bytes,
            packets: counted.packets,
            drops: counted.drops,
            overlimits: counted.overlimits,
            backlog: counted.backlog,
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
    let mut all = Vec::new();
    for link in &links {
        let Some((_, counted)) = buckets.iter().find(|(index, _)| *index == link.index) else {
            continue;
        };
        let limit = match link.kind.as_str() {
            "ifb" if PREFIXES.iter().any(|prefix| link.name.starts_with(prefix)) => {
                behind_ifb(&mut host, link, &links, *counted)
            }
            "veth" => towards(link, &links, *counted),
            // Other people's buckets.
            _ => continue,
        };
        all.push(limit);
    }
    for limit in &mut all {
        if limit.owner.is_none() {
            limit.owner = by_cache(limit, cache);
        }
    }
    all.sort_by(|a, b| (&a.link, a.direction).cmp(&(&b.link, b.direction)));
    Ok(all)
}

/// The limit of what an ifb is sent: of a veth's ingress hook, so of what the container sends.
fn behind_ifb(host: &mut Netlink, ifb: &Link, links: &[Link], counted: Counted) -> Limit {
    let mark = ifb.alias.as_deref().and_then(Mark::parse);
    let index = mark.as_ref().map(|mark| mark.link);
    let index = index.or_else(|| sender(host, ifb, links));
    let link = links.iter().find(|link| Some(link.index) == index);
    Limit {
        owner: mark.and_then(|mark| named(mark.owner)),
        link: link.map(|link| link.name.clone()),
        ..Limit::of(ifb, "egress", counted)
    }
}

/// The link that redirects to an ifb without a mark, such as the reference makes.
fn sender(host: &mut Netlink, ifb: &Link, links: &[Link]) -> Option<u32> {
    let mut veths = links
        .iter()
        .filter(|link| link.kind == InfoKind::Veth.to_string());
    let sends = |link: &&Link| -> bool {
        let Ok(Some(hook)) = qdisc::hook(host, link.index) else {
            return false;
        };
        let filters = filter::list(host, link.index, Hook::Ingress.parent(&hook.kind));
        filters.unwrap_or_default().iter().any(|filter| {
            let target = filter.rule.as_ref().and_then(|rule| rule.verdict.target());
            target == Some(ifb.index)
        })
    };
    veths.find(sends).map(|link| link.index)
}

/// The limit at the root of a veth: of what is sent to the container.
fn towards(veth: &Link, links: &[Link], counted: Counted) -> Limit {
    let marks = links
        .iter()
        .filter_map(|link| Mark::parse(link.alias.as_deref()?));
    let mark = marks.into_iter().find(|mark| mark.link == veth.index);
    Limit {
        owner: mark.and_then(|mark| named(mark.owner)),
        link: Some(veth.name.clone()),
        ..Limit::of(veth, "ingress", counted)
    }
}

fn named(owner: Owner) -> Option<Attachment> {
    match owner {
        Owner::Named(attachment) => Some(attachment),
        Owner::Hashed(..) => None,
    }
}

/// The attachment whose result names the link, or whose names give the ifb's.
fn by_cache(limit: &Limit, cache: &Cache) -> Option<Attachment> {
    let has = |entry: &&common::cache::Entry| {
        let names = [&limit.device].into_iter().chain(&limit.link);
        let named = |name: &String| result_names(entry.result.as_ref(), name);
        names.into_iter().any(named)
    };
    cache
        .entries
        .iter()
        .find(has)
        .map(|entry| entry.attachment.clone())
}

/// Whether a result has an interface of that name in the host.
fn result_names(result: Option<&Json>, name: &str) -> bool {
    let Some(Json::Object(fields)) = result else {
        return false;
    };
    let interfaces = Object::root(fields).list("interfaces").unwrap_or_default();
    interfaces.iter().any(|interface| {
        interface.object().is_ok_and(|interface| {
            interface.string("name").ok().flatten().as_deref() == Some(name)
                && interface.nonempty("sandbox").ok().flatten().is_none()
        })
    })
}

/// The owners of all limits that say whose they are.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn owners() -> Result<Vec<Attachment>, Error> {
    let ifbs = Netlink::route()?
        .links(Some(InfoKind::Ifb))
        .context(Code::System, || "list ifbs".into())?;
    let marks = ifbs
        .iter()
        .filter_map(|link| Mark::parse(link.alias.as_deref()?));
    Ok(marks.filter_map(|mark| named(mark.owner)).collect())
}
