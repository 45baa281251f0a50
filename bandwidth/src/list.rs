//! The command `list`: every limit of the node, with what the kernel counts.

use std::thread;
use std::time::Duration;

use common::Attachment;
use common::cache::Cache;
use common::cli::args::Args;
use common::cli::table::{Page, Table, Tone, column};
use common::cli::{CACHE_DIR, Command, Failure, JSON, document, object, print};
use common::decode::Object;
use common::error::{Code, Context, Error};
use common::json::Json;
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use netlink_packet_route::link::InfoKind;

use crate::owner::{Mark, Owner};
use crate::plan::Hook;
use crate::scaled::scaled;
use crate::tc::counters::{Counted, roots};
use crate::tc::filter;
use crate::tc::qdisc;

/// The beginnings of our ifbs' names; the reference's begin with the first.
const PREFIXES: [&str; 2] = ["bwp", "bwe"];

/// The command.
pub const LIST: Command = Command {
    name: "list",
    arguments: "[--watch[=SECONDS]] [--cache-dir DIR] [--json]",
    about: "show every limit, and what was sent, dropped and delayed",
    options: &[
        ("--watch", "show it again every 2 (or so many) seconds"),
        CACHE_DIR,
        JSON,
    ],
    run,
};

/// A limit of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limit {
    owner: Option<Attachment>,
    /// The link that has the token bucket.
    device: String,
    /// The link whose traffic is limited, where it is known.
    link: Option<String>,
    /// As the configuration calls it: `ingress` is towards the container.
    direction: &'static str,
    counted: Counted,
}

fn run(mut args: Args) -> Result<u8, Failure> {
    let is_json = args.flag("--json");
    let seconds = watch(&mut args)?;
    let dir = args.cache_dir()?;
    args.none()?;
    loop {
        let limits = limits(&Cache::read(&dir)?)?;
        let shown = match is_json {
            true => document([("limits", json(&limits))]),
            false => text(&limits),
        };
        let Some(seconds) = seconds else {
            return print(&shown);
        };
        let page = Page::stdout();
        // On a terminal each table takes the place of the last one.
        let clear = if page.colour { "\x1b[H\x1b[2J" } else { "" };
        print(&format!("{clear}{shown}"))?;
        thread::sleep(Duration::from_secs(seconds));
    }
}

fn watch(args: &mut Args) -> Result<Option<u64>, Failure> {
    if args.flag("--watch") {
        return Ok(Some(2));
    }
    let seconds = args.value("--watch")?;
    let number = |text: String| {
        let number = text.parse().ok().filter(|n: &u64| *n > 0);
        number.ok_or_else(|| Failure::Usage(format!("--watch={text}: expected seconds")))
    };
    seconds.map(number).transpose()
}

fn limits(cache: &Cache) -> Result<Vec<Limit>, Error> {
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
        device: ifb.name.clone(),
        link: link.map(|link| link.name.clone()),
        direction: "egress",
        counted,
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
        device: veth.name.clone(),
        link: Some(veth.name.clone()),
        direction: "ingress",
        counted,
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

fn text(limits: &[Limit]) -> String {
    let mut table = Table::new([
        column("LINK"),
        column("DIRECTION"),
        column("RATE").number(),
        column("BURST").number(),
        column("LATENCY").number(),
        column("DROPPED").number(),
        column("SENT").number(),
        column("NETWORK").cut_to(6).optional(),
        column("CONTAINER").cut_to(9).optional(),
        column("OVERLIMITS").number().optional(),
        column("DEVICE").optional(),
    ]);
    for limit in limits {
        let Counted {
            bucket,
            bytes,
            drops,
            overlimits,
            ..
        } = limit.counted;
        let owner = limit.owner.as_ref();
        let cells = [
            limit.link.clone().unwrap_or_else(|| "?".into()),
            limit.direction.to_owned(),
            scaled(u128::from(bucket.rate) * 8, 1000, "bit/s"),
            scaled(bucket.burst().into(), 1024, "B"),
            format!("{} ms", latency(&limit.counted) / 1000),
            drops.to_string(),
            scaled(bytes.into(), 1024, "B"),
            owner.map_or("?".into(), |owner| owner.network.clone()),
            owner.map_or("?".into(), |owner| owner.container.clone()),
            overlimits.to_string(),
            limit.device.clone(),
        ];
        table.row(Tone::Plain, cells);
    }
    table.text(Page::stdout())
}

/// How long a packet may wait, in microseconds: as `tc` tells it from the limit.
fn latency(counted: &Counted) -> u64 {
    let bucket = counted.bucket;
    let waiting = u64::from(bucket.limit).saturating_sub(bucket.burst());
    waiting.saturating_mul(1_000_000) / bucket.rate.max(1)
}

fn json(limits: &[Limit]) -> Json {
    let number = |n: u64| Json::Number(n.into());
    let one = |limit: &Limit| {
        let Counted {
            bucket,
            bytes,
            packets,
            drops,
            overlimits,
            backlog,
        } = limit.counted;
        let of_owner = |of: fn(&Attachment) -> &String| {
            limit
                .owner
                .as_ref()
                .map_or(Json::Null, |owner| of(owner).as_str().into())
        };
        object([
            ("network", of_owner(|owner| &owner.network)),
            ("container", of_owner(|owner| &owner.container)),
            ("interface", of_owner(|owner| &owner.ifname)),
            ("link", limit.link.as_deref().map_or(Json::Null, Json::from)),
            ("device", limit.device.as_str().into()),
            ("direction", limit.direction.into()),
            ("rateBitsPerSecond", number(bucket.rate.saturating_mul(8))),
            ("burstBytes", number(bucket.burst())),
            ("latencyMicroseconds", number(latency(&limit.counted))),
            ("limitBytes", number(bucket.limit.into())),
            ("sentBytes", number(bytes)),
            ("sentPackets", number(packets)),
            ("dropped", number(drops.into())),
            ("overlimits", number(overlimits.into())),
            ("backlogBytes", number(backlog.into())),
        ])
    };
    Json::Array(limits.iter().map(one).collect())
}
