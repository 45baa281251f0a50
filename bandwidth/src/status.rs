//! STATUS: tries everything that ADD needs in a namespace that is thrown away.

use common::error::{Code, Error};
use common::sys::netlink::Netlink;
use common::sys::netns;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo};

use crate::tbf::Tbf;
use crate::tc::filter::{self, Rule, Verdict};
use crate::tc::qdisc::{self, HookKind};
use crate::tc::{ETH_P_ALL, Hook};

/// Names everything that the kernel lacks.
///
/// # Errors
/// Code 50.
pub fn probe() -> Result<(), Error> {
    let missing = netns::in_a_new_one(|| Ok(try_all(&mut Netlink::route()?)))
        .map_err(|error| Error::new(Code::NotAvailable, error.msg).with_details(error.details))?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(
        Error::new(Code::NotAvailable, "this kernel cannot limit bandwidth")
            .with_details(missing.join("; ")),
    )
}

fn try_all(netlink: &mut Netlink) -> Vec<String> {
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
    let mut missing = Vec::new();
    if let Err(refusal) = ifb {
        missing.push(format!("no ifb (module ifb): {refusal}"));
    }
    let mut check = |what: &str, outcome: Result<(), common::sys::netlink::Refusal>| {
        if let Err(refusal) = outcome {
            missing.push(format!("no {what}: {refusal}"));
        }
    };
    let tbf = Tbf {
        rate: 1_000_000,
        buffer: 1_562_500,
        limit: 125_000,
    };
    check("tbf (module sch_tbf)", qdisc::set_root(netlink, link, tbf));
    let hook = qdisc::add_hook(netlink, link, HookKind::Clsact);
    check("clsact qdisc (module sch_ingress)", hook);
    let mut filter = |verdict: Verdict, place| {
        let rule = Rule {
            keys: Vec::new(),
            verdict,
        };
        filter::add(netlink, link, Hook::Ingress.parent("clsact"), place, &rule)
    };
    check(
        "u32 filter (module cls_u32)",
        filter(Verdict::Pass, (1, ETH_P_ALL)),
    );
    check(
        "mirred action (module act_mirred)",
        filter(Verdict::Redirect(link), (1, ETH_P_ALL)),
    );
    missing
}
