//! What the reference's nftables backend made: rules in tables of the name `cni_hostport`, one per
//! family, whose comment is the container ID and nothing else.
//!
//! They do not say for which network and interface of a container they were made. An address says it:
//! no two interfaces of a container have the same.

use std::collections::BTreeSet;
use std::net::IpAddr;

use common::family::address;
use common::sys::netlink::Refusal;
use common::{Attachment, Drift, Family, Protocol};
use nft::command::{Action, Command};
use nft::expr::Expr;
use nft::object::{Chain, Place, Rule};
use nft::socket::Nft;
use nft::uapi;

use super::removal::Removal;
use super::translation;
use crate::config::Evidence;
use crate::options::Masquerade;
use crate::plan::{Forwards, Plan};

/// The reference's table.
pub const TABLE: &str = "cni_hostport";
/// Its chains that hold rules of containers. The second one is of older versions.
const CHAINS: [&str; 3] = ["hostports", "hostip_hostports", "masquerading"];
/// The one that leads there; in older versions the hooks' chains do.
const ALL: &str = "hostports_all";

type Answer<T> = Result<T, Refusal>;

fn place(family: Family) -> Place {
    Place {
        family,
        table: TABLE,
    }
}

/// A rule of a container, and the chain that it is in.
#[derive(Debug, Clone)]
pub struct Theirs {
    chain: &'static str,
    rule: Rule,
}

impl Theirs {
    fn container(&self) -> &str {
        self.rule.comment.as_deref().unwrap_or_default()
    }

    /// The container's address, to which a packet is translated or has been.
    fn address(&self, family: Family) -> Option<IpAddr> {
        match translation::of_rule(family, &self.rule) {
            Some(forward) => Some(forward.to.ip()),
            None => compared(&self.rule, family, family.destination_offset()),
        }
    }

    fn masquerades(&self, family: Family, from: Option<IpAddr>, to: IpAddr) -> bool {
        let source = compared(&self.rule, family, family.source_offset());
        matches!(self.rule.exprs.last(), Some(Expr::Masquerade))
            && self.address(family) == Some(to)
            && source == from
    }
}

/// The address at an offset of the network header that a rule compares with; nft compares two
/// neighbours at once.
fn compared(rule: &Rule, family: Family, wanted: u32) -> Option<IpAddr> {
    let len = usize::from(family.address_len());
    rule.exprs.windows(2).find_map(|pair| match pair {
        [
            Expr::Payload { base, offset, .. },
            Expr::Compare { value, op, .. },
        ] if *base == uapi::PAYLOAD_NETWORK_HEADER && *op == uapi::CMP_EQ => {
            let start = usize::try_from(wanted.checked_sub(*offset)?).ok()?;
            address(value.get(start..start.checked_add(len)?)?)
        }
        _ => None,
    })
}

/// Every rule of a family that has a container's ID for comment.
///
/// # Errors
/// What the kernel refused.
pub fn rules(nft: &mut Nft, family: Family) -> Answer<Vec<Rule>> {
    let all = theirs(nft, family, |_| true)?;
    Ok(all.into_iter().map(|one| one.rule).collect())
}

fn theirs(nft: &mut Nft, family: Family, is_asked: impl Fn(&str) -> bool) -> Answer<Vec<Theirs>> {
    let mut all = Vec::new();
    if nft.table(place(family))?.is_some() {
        for chain in CHAINS {
            let rules = nft.rules(place(family), chain)?.into_iter();
            all.extend(rules.map(|rule| Theirs { chain, rule }));
        }
    }
    all.retain(|one| one.rule.comment.as_deref().is_some_and(&is_asked));
    Ok(all)
}

/// The containers that have rules in a family.
///
/// # Errors
/// What the kernel refused.
pub fn containers(nft: &mut Nft, family: Family) -> Answer<BTreeSet<String>> {
    let all = theirs(nft, family, |_| true)?;
    Ok(all.iter().map(|one| one.container().to_owned()).collect())
}

/// The warning about rules whose owner is not recorded.
pub fn stays(family: Family, container: &str) -> String {
    let family = family.nft_name();
    format!(
        "table {family} {TABLE}: the rules of container {container} do not record their network and are kept"
    )
}

/// The rules that an address shows to be an attachment's, and a warning about those of its container
/// that may be another network's.
///
/// # Errors
/// What the kernel refused.
pub fn own(
    nft: &mut Nft,
    family: Family,
    attachment: &Attachment,
    evidence: &Evidence,
) -> Answer<(Vec<Theirs>, Option<String>)> {
    let all = theirs(nft, family, |id| id == attachment.container)?;
    let addresses = match evidence.addresses.is_empty() {
        true => only_address(&all, family, evidence).into_iter().collect(),
        false => evidence.addresses.clone(),
    };
    let is_own = |one: &Theirs| {
        let address = one.address(family);
        address.is_some_and(|address| addresses.contains(&address))
    };
    let (own, rest): (Vec<Theirs>, Vec<Theirs>) = all.into_iter().partition(is_own);
    let warning = (!rest.is_empty()).then(|| stays(family, &attachment.container));
    Ok((own, warning))
}

/// The address of a request that names none: the only one that its container's rules lead to, if they
/// are about no port that the request does not name either.
fn only_address(all: &[Theirs], family: Family, evidence: &Evidence) -> Option<IpAddr> {
    let addresses: BTreeSet<IpAddr> = all.iter().filter_map(|one| one.address(family)).collect();
    let mut forwards = all
        .iter()
        .filter_map(|one| translation::of_rule(family, &one.rule));
    let is_named = |port: (Protocol, u16)| evidence.ports.contains(&port);
    let are_named = forwards.all(|made| is_named((made.port.protocol, made.port.number)));
    let [address] = addresses.into_iter().collect::<Vec<_>>()[..] else {
        return None;
    };
    (evidence.ports.is_empty() || are_named).then_some(address)
}

/// The deletion of rules.
pub fn removal(family: Family, own: &[Theirs]) -> Removal {
    let delete = |one: &Theirs| Command {
        place: place(family),
        action: Action::DeleteRule {
            chain: one.chain.to_owned(),
            handle: Some(one.rule.handle),
        },
    };
    let gone = |one: &Theirs| translation::of_rule(family, &one.rule);
    Removal {
        commands: own.iter().map(delete).collect(),
        gone: own.iter().filter_map(gone).collect(),
    }
}

/// Those of the rules that can be written again.
pub fn restorable(mut own: Vec<Theirs>) -> Vec<Theirs> {
    own.retain(|one| !one.rule.exprs.iter().any(|e| matches!(e, Expr::Other(_))));
    own
}

/// Writes rules again, as far as their chains are still there.
///
/// # Errors
/// What the kernel refused.
pub fn restoration(nft: &mut Nft, family: Family, own: &[Theirs]) -> Answer<Vec<Command>> {
    let names: Vec<&str> = own.iter().map(|one| one.chain).collect();
    let chains = nft.chains(place(family), &names)?;
    let there = own.iter().zip(chains).filter(|(_, chain)| chain.is_some());
    let add = |(one, _): (&Theirs, _)| Command {
        place: place(family),
        action: Action::AddRule {
            chain: one.chain.to_owned(),
            rule: one.rule.clone(),
            first: false,
        },
    };
    Ok(there.map(add).collect())
}

/// How what the reference made for an attachment differs from a plan; `None` where it made nothing for
/// its container. Only what packets need counts.
///
/// # Errors
/// What the kernel refused.
pub fn check(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Answer<Option<Vec<Drift>>> {
    let family = forwards.family;
    let all = theirs(nft, family, |id| id == plan.attachment.container)?;
    if all.is_empty() {
        return Ok(None);
    }
    let mut drifts = Vec::new();
    let table = format!("table {} {TABLE}", family.nft_name());
    let found = nft.table(place(family))?;
    if found.is_some_and(|found| found.is_dormant()) {
        drifts.push(Drift::new(&table, "active", "dormant"));
    }
    let hooks = [
        ("prerouting", uapi::HOOK_PREROUTING),
        ("output", uapi::HOOK_OUTPUT),
    ];
    let mut reached = Vec::new();
    for (name, hook) in hooks {
        let chains = reached_from(nft, family, name, hook)?;
        if chains.is_empty() {
            let object = format!("chain {name} of {table}");
            let drift = Drift::new(object, "leads to host ports", "does not");
            drifts.push(drift.of_missing("chain"));
        }
        reached.push(chains);
    }
    let is_reached = |one: &&Theirs| reached.iter().all(|c| c.contains(&one.chain.to_owned()));
    for forward in &forwards.ports {
        let mut made = all.iter().filter(is_reached).filter_map(|one| {
            let made = translation::of_rule(family, &one.rule)?;
            (made.port == forward.port).then_some(made.to)
        });
        // The first rule that matches translates.
        let first = made.next();
        if first != Some(forward.to) {
            let object = format!("rule of {} in {table}", forward.port);
            let actual = first.map_or("no rule that is reached".to_owned(), |to| to.to_string());
            drifts.push(Drift::new(object, forward.to, actual));
        }
    }
    drifts.extend(masquerade_drifts(nft, plan, forwards, &all, &table)?);
    Ok(Some(drifts))
}

fn masquerade_drifts(
    nft: &mut Nft,
    plan: &Plan,
    forwards: &Forwards,
    all: &[Theirs],
    table: &str,
) -> Answer<Vec<Drift>> {
    let (family, to) = (forwards.family, forwards.container.addr);
    let localhost = IpAddr::from([127, 0, 0, 1]);
    let sources = match (plan.masquerade, family) {
        (Masquerade::Nothing, _) => return Ok(Vec::new()),
        (Masquerade::All, _) => vec![None],
        (Masquerade::Needed, Family::V4) => vec![Some(to), Some(localhost)],
        (Masquerade::Needed, Family::V6) => vec![Some(to)],
    };
    let chain = nft.chains(place(family), &["masquerading"])?;
    let hook = chain.first().and_then(Option::as_ref).and_then(hook_of);
    if hook != Some(uapi::HOOK_POSTROUTING) {
        let object = format!("chain masquerading of {table}");
        let found = if hook.is_some() { "another" } else { "none" };
        return Ok(vec![Drift::new(object, "hook postrouting", found)]);
    }
    let is_missing =
        |from: &&Option<IpAddr>| !all.iter().any(|one| one.masquerades(family, **from, to));
    let drift = |from: &Option<IpAddr>| {
        let object = format!("rule of {to} in chain masquerading of {table}");
        let from = from.map_or("all".to_owned(), |from| from.to_string());
        Drift::new(object, format!("masquerade from {from}"), "no such rule").of_missing("rule")
    };
    Ok(sources.iter().filter(is_missing).map(drift).collect())
}

fn hook_of(chain: &Chain) -> Option<u32> {
    let base = chain.base.as_ref()?;
    (base.kind == "nat").then_some(base.hook)
}

/// The chains of containers that packets of a hook come to; none where the chain is not at the hook.
fn reached_from(nft: &mut Nft, family: Family, name: &str, hook: u32) -> Answer<BTreeSet<String>> {
    let chain = nft.chains(place(family), &[name])?;
    let mut reached = BTreeSet::new();
    if chain.first().and_then(Option::as_ref).and_then(hook_of) != Some(hook) {
        return Ok(reached);
    }
    let mut ahead = vec![name.to_owned()];
    while let Some(name) = ahead.pop() {
        for rule in nft.rules(place(family), &name)? {
            let Some(Expr::Jump(to)) = rule.exprs.last() else {
                continue;
            };
            if CHAINS.contains(&to.as_str()) {
                reached.insert(to.clone());
            } else if to == ALL && name != ALL {
                ahead.push(to.clone());
            }
        }
    }
    Ok(reached)
}
