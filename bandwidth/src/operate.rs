//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::operate::Part;
use common::sys::lock::Children;
use common::{Attachment, Drift, Error, Operate, Plugin, Request, step};

use crate::config::Config;
use crate::ifb;
use crate::list::{self, Kernel, Limit};
use crate::look::Look;
use crate::plan::{Facts, Numbers, Plan, Side};
use crate::queue::QueuePolicy;
use crate::scaled::scaled;
use crate::tbf::GSO_DEFAULT;
use crate::tc::filter::Verdict;
use crate::{Bandwidth, TURNS, look, status};

/// Of a veth, in bytes, where nobody has set another.
const USUAL_MTU: u32 = 1500;

impl Operate for Bandwidth {
    type Row = Limit;

    fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
        let drifts = |request: &&Request| look::steps(request, false).map(step::drifts);
        requests.iter().map(drifts).collect()
    }

    fn missing(requests: &[&Request], _found: &[Limit]) -> Vec<Result<Vec<Limit>, Error>> {
        let kernel = Kernel::default();
        let missing = |request: &&Request| list::missing(request, &kernel);
        requests.iter().map(missing).collect()
    }

    fn plans(requests: &[&Request]) -> Vec<Result<Vec<String>, Error>> {
        requests.iter().map(|request| plan(request)).collect()
    }

    fn leftovers(
        parts: &[(&Attachment, &[Request])],
        cache: &Cache,
    ) -> Vec<Result<Vec<Drift>, Error>> {
        let limits = list::limits(cache);
        let of = |(owner, requests): &(&Attachment, &[Request])| {
            let drift = |direction: &str, found: &str| {
                Drift::new(format!("{direction} limit"), "none", found)
            };
            if let Some(look) = Look::whole(requests)? {
                let old = look.difference().old_limits().into_iter();
                let drifts = old.map(|(device, numbers, hook)| {
                    let rate = numbers.map(|numbers| rate(numbers.rate.saturating_mul(8)));
                    let found = rate.unwrap_or(format!("{device} without a token bucket"));
                    drift(list::direction(look.place.side, hook), &found)
                });
                return Ok(drifts.collect());
            }
            let limits = limits.as_ref().map_err(Error::clone)?.iter();
            let own = limits.filter(|limit| limit.owner.as_ref() == Some(owner));
            Ok(own
                .map(|limit| drift(limit.direction, &rate(limit.rate)))
                .collect())
        };
        parts.iter().map(of).collect()
    }

    fn retire(former: &[Request], now: &[Request]) -> Result<(), Error> {
        let errors = match (leave_older(now)?, former) {
            (Some(errors), _) => errors,
            // DEL needs no limits, only whose they are.
            (None, []) => now.iter().filter_map(|r| Self::del(r).err()).collect(),
            (None, former) => former.iter().filter_map(|r| Self::del(r).err()).collect(),
        };
        Error::all(errors).map_or(Ok(()), Err)
    }

    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn kernel() -> Vec<Part> {
        status::parts(QueuePolicy::Auto).unwrap_or_else(|error| {
            vec![Part {
                name: "rtnetlink".to_owned(),
                purpose: "bandwidth cannot limit anything",
                fault: Some(error.to_string()),
            }]
        })
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::parse(request).map(drop)
    }
}

/// What ADD would make.
fn plan(request: &Request) -> Result<Vec<String>, Error> {
    let config = Config::parse(request)?;
    if config.is_off() {
        return Ok(Vec::new());
    }
    let [ingress_ifb, _, egress_ifb] = ifb::names(&request.attachment);
    let plan = Plan::new(
        &config,
        &Facts {
            side: Side::Host,
            link: "VETH".into(),
            mtu: USUAL_MTU,
            gso: GSO_DEFAULT,
            ingress_ifb,
            egress_ifb,
        },
    );
    let root = plan.root.iter();
    let bucket = |link: &str, numbers: &Numbers| {
        let Numbers { ours, queue, .. } = numbers;
        let root = format!("qdisc root of {link}: {ours}");
        let queue = queue.fq_codel().map(|numbers| {
            let else_fifo = match queue.may_be_fifo() {
                true => ", or a FIFO where the kernel has none",
                false => "",
            };
            format!("qdisc below it: {numbers}{else_fifo}")
        });
        [root].into_iter().chain(queue)
    };
    let mut lines: Vec<String> = root.flat_map(|numbers| bucket("VETH", numbers)).collect();
    for detour in &plan.detours {
        let (ifb, mtu) = (&detour.ifb, detour.mtu);
        let hook = detour.hook;
        lines.push(format!("link {ifb} type ifb mtu {mtu}"));
        lines.extend(bucket(ifb, &detour.tbf));
        lines.push(format!("qdisc clsact of VETH: {hook} hook"));
        lines.extend(detour.filters.iter().map(|filter| {
            let keys = filter.rule.keys.iter().map(|key| format!("match {key} "));
            let keys: String = keys.collect();
            let verdict = match filter.rule.verdict {
                Verdict::Redirect(_) => format!("mirred redirect to {ifb}"),
                _ => "pass".to_owned(),
            };
            let protocol = filter.protocol;
            format!("filter of VETH {hook}: protocol {protocol:#06x} u32 {keys}{verdict}")
        }));
    }
    Ok(lines)
}

/// Removes what older limits of an attachment left, and gives what could not be; `None` where it has no limits now.
fn leave_older(now: &[Request]) -> Result<Option<Vec<Error>>, Error> {
    let Some(request) = now.first() else {
        return Ok(None);
    };
    let _turn = TURNS.of(&request.attachment, Children::DoNotHold)?;
    let look = Look::whole(now)?;
    look.map(|mut look| look.remove_leftovers(&request.log))
        .transpose()
}

/// Bits per second, for people.
fn rate(bits: u64) -> String {
    scaled(bits.into(), 1000, "bit/s")
}
