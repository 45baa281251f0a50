//! STATUS: tries everything that ADD needs in a temporary namespace.

use common::error::{Code, Context, Error};
use common::operate::Part;
use common::sys::netlink::{Netlink, Refusal};
use common::sys::netns;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo};

use crate::queue::{Queue, QueuePolicy};
use crate::tbf::{LATENCY, Tbf};
use crate::tc::filter::{self, Rule, Verdict};
use crate::tc::qdisc::{self, HookKind};
use crate::tc::{ETH_P_ALL, Hook, is_lacking};

const ANY: &str = "bandwidth cannot limit anything";
const EGRESS: &str = "bandwidth cannot limit what a container sends";

/// The token bucket that is tried.
const TRIED: Tbf = Tbf {
    rate: 1_000_000,
    buffer: 1_562_500,
    limit: 125_000,
};

/// Whether the kernel has `fq_codel`, as ADD would find out.
///
/// # Errors
/// Code 100 when that cannot be tried.
pub fn has_fq_codel() -> Result<bool, Error> {
    // The loopback, which every namespace has.
    let link = 1;
    let set = |netlink: &mut Netlink| {
        qdisc::set_root(netlink, link, TRIED)?;
        let queue = Queue::new(QueuePolicy::Auto, TRIED.rate, LATENCY, 1514);
        let numbers = queue.fq_codel();
        numbers.map_or(Ok(()), |numbers| qdisc::set_queue(netlink, link, numbers))
    };
    netns::in_a_new_one(|| match set(&mut Netlink::route()?) {
        Err(refusal) if is_lacking(&refusal) => Ok(false),
        tried => tried
            .map(|()| true)
            .context(Code::System, || "try fq_codel".to_owned()),
    })
}

/// Names everything that the kernel lacks for a configuration.
///
/// # Errors
/// Code 50.
pub fn probe(queue: QueuePolicy) -> Result<(), Error> {
    let parts = netns::in_a_new_one(move || parts(queue))
        .map_err(|error| Error::new(Code::NotAvailable, error.msg).with_details(error.details))?;
    let missing = parts.iter().filter_map(|part| {
        let fault = part.fault.as_ref()?;
        Some(format!("no {}: {fault}", part.name))
    });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(
        Error::new(Code::NotAvailable, "this kernel cannot limit bandwidth")
            .with_details(missing.join("; ")),
    )
}

/// Tries every part in the calling thread's namespace, which is temporary.
///
/// # Errors
/// Code 100 when the kernel gives no socket.
pub fn parts(queue: QueuePolicy) -> Result<Vec<Part>, Error> {
    Ok(try_all(&mut Netlink::route()?, queue))
}

fn try_all(netlink: &mut Netlink, queue: QueuePolicy) -> Vec<Part> {
    let name = "bwp-probe";
    let ifb = netlink
        .create_link(vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)]),
        ])
        .and_then(|()| netlink.link_by_name(name));
    let link = match &ifb {
        Ok(Some(link)) => link.index,
        // Everything else can be tried on the loopback, which every namespace has.
        Ok(None) | Err(_) => 1,
    };
    let mut parts = Vec::new();
    let mut check = |name: &str, purpose, outcome: Result<(), Refusal>| {
        parts.push(Part {
            name: name.to_owned(),
            purpose,
            fault: outcome.err().map(|refusal| refusal.to_string()),
        });
    };
    check("ifb (module ifb)", EGRESS, ifb.map(drop));
    check(
        "tbf (module sch_tbf)",
        ANY,
        qdisc::set_root(netlink, link, TRIED),
    );
    // A FIFO will do, unless the configuration says otherwise.
    if let Queue::FqCodel(numbers) = Queue::new(queue, TRIED.rate, LATENCY, 1514) {
        let set = qdisc::set_queue(netlink, link, numbers);
        check("fq_codel (module sch_fq_codel)", ANY, set);
    }
    let hook = qdisc::add_hook(netlink, link, HookKind::Clsact);
    check("clsact qdisc (module sch_ingress)", EGRESS, hook);
    let mut filter = |verdict: Verdict, place| {
        let rule = Rule {
            keys: Vec::new(),
            verdict,
        };
        filter::add(netlink, link, Hook::Ingress.parent("clsact"), place, &rule)
    };
    let pass = filter(Verdict::Pass, (1, ETH_P_ALL));
    check("u32 filter (module cls_u32)", EGRESS, pass);
    let mirred = filter(Verdict::Redirect(link), (1, ETH_P_ALL));
    check("mirred action (module act_mirred)", EGRESS, mirred);
    parts
}
