//! DEL and GC: remove what belongs to owners, and what the reference left for their containers.

use std::collections::BTreeSet;

use common::error::Error;
use common::log::Log;
use common::netconf::ValidAttachment;
use common::sys::netlink::Refusal;
use common::{Attachment, Family};
use nft::command::{Action, Command};
use nft::expr::Expr;
use nft::object::{Element, Set};
use nft::socket::Nft;

use super::elements::Elements;
use super::layout::CONDITIONS;
use super::range::{self, Range};
use super::removal::Removal;
use super::scope::unused;
use super::set::{ATTACHMENTS, SetId};
use super::{
    claim, owner, private, queue, reference, shared, transaction, translation, unreadable,
};
use crate::config::Evidence;
use crate::host_port::{Forward, HostPort};
use crate::mapping::PortMapping;

/// The most host ports that go in one batch. Without that bound, GC of a large node would need more
/// memory at once than a socket may have.
const AT_ONCE: usize = 10_000;

/// Removes everything that belongs to an attachment, and gives what it led to;
/// `None` when there was nothing. The mappings only save listing the sets: where they do not explain
/// what is there, the sets are listed. The reference's rules go as far as the evidence says that they
/// are this attachment's.
///
/// # Errors
/// What the kernel refused.
pub fn del(
    attachment: &Attachment,
    mappings: &[PortMapping],
    evidence: &Evidence,
    log: &Log,
) -> Result<Option<Vec<Forward>>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(None);
    };
    let own = owner::text(attachment);
    let (gone, left) = transaction::run(&mut nft, |nft| {
        let mut left = BTreeSet::new();
        let mut views = Vec::new();
        for family in Family::ALL {
            let view = View::look(nft, family, mappings, evidence, &own);
            views.push(view.map_err(|refusal| unreadable(family, refusal))?);
        }
        let mut removal = Removal::default();
        for view in views {
            let family = view.family;
            let failed = |refusal| unreadable(family, refusal);
            let sets = view.sets.clone();
            let found = view
                .complete(nft, &own, mappings.is_empty())
                .map_err(failed)?;
            removal.extend(Removal::claims(family, &sets, &found, |by| by == own));
            removal.extend(own_chain(nft, family, attachment).map_err(failed)?);
            let theirs = reference::own(nft, family, attachment, evidence);
            let (theirs, unknown) = theirs.map_err(failed)?;
            removal.extend(reference::removal(family, &theirs));
            left.extend(unknown);
        }
        let Removal { commands, gone } = removal;
        let gone = (!commands.is_empty()).then_some(gone);
        Ok((commands, (gone, left)))
    })?;
    left.into_iter().for_each(|warning| log.warn(warning));
    Ok(gone)
}

/// What looking up the mappings of a request gave in one family: elements of the owner.
struct View {
    family: Family,
    sets: Vec<Set>,
    ports: BTreeSet<HostPort>,
    found: Elements,
}

impl View {
    fn look(
        nft: &mut Nft,
        family: Family,
        mappings: &[PortMapping],
        evidence: &Evidence,
        own: &str,
    ) -> Result<View, Refusal> {
        let sets = nft.sets(shared::place(family))?;
        let ports: BTreeSet<HostPort> = mappings
            .iter()
            .filter(|mapping| mapping.serves(family))
            .map(PortMapping::host_port)
            .flat_map(|port| {
                let scope = evidence.scope.filter(|_| port.address.is_none());
                let limited = scope.map(|_| HostPort {
                    within: scope,
                    ..port
                });
                [port].into_iter().chain(limited)
            })
            .collect();
        let all: Vec<HostPort> = ports.iter().copied().collect();
        let mut found = Elements::new();
        if !sets.is_empty() {
            found = claim::of_ports(nft, family, &sets, own, &all, None)?;
        }
        Ok(View {
            family,
            sets,
            ports,
            found,
        })
    }

    /// The owner's elements: those found, if the set of attachments says that these are all; else
    /// those that a list of all shows. One who is not in that set has nothing, unless the request does
    /// not even say what to look for.
    fn complete(self, nft: &mut Nft, own: &str, is_blind: bool) -> Result<Elements, Refusal> {
        let mine = claim::owned(&self.found, own);
        let claims = queue::of_elements(&mine);
        // Of a range, those that were not looked up do not count: others may wait there.
        let claims = claims.keys().filter(|port| self.ports.contains(port));
        let claims = claims.count();
        let is_index = |((id, _), _): &(&(SetId, Vec<u8>), &Element)| *id == ATTACHMENTS;
        let index = mine.iter().find(is_index).map(|(_, element)| element);
        let are_all = match index {
            Some(index) => index.siblings.map(usize::from) == Some(claims),
            None => claims == 0 && !is_blind,
        };
        if are_all {
            return Ok(self.found);
        }
        claim::of_owner(nft, self.family, &self.sets, own)
    }
}

/// The deletion of an attachment's own chain and of the rule that leads there.
///
/// # Errors
/// What the kernel refused.
pub fn own_chain(
    nft: &mut Nft,
    family: Family,
    attachment: &Attachment,
) -> Result<Removal, Refusal> {
    let chain = private::chain(attachment);
    let place = shared::place(family);
    if nft.chains(place, &[&chain])?.iter().all(Option::is_none) {
        return Ok(Removal::default());
    }
    let mut removal = rules(nft, family, |_, to| to == chain)?;
    if removal.commands.is_empty() {
        removal.extend(one_chain(nft, family, chain)?);
    }
    Ok(removal)
}

/// The deletion of rules with conditions, chosen by owner and chain, and of the chains they lead to.
fn rules(
    nft: &mut Nft,
    family: Family,
    is_asked: impl Fn(&str, &str) -> bool,
) -> Result<Removal, Refusal> {
    let place = shared::place(family);
    let mut removal = Removal::default();
    let mut chains = BTreeSet::new();
    for rule in nft.rules(place, CONDITIONS)? {
        let comment = rule.comment.as_deref().unwrap_or_default();
        if let Some(Expr::Jump(to)) = rule.exprs.last()
            && to.starts_with(private::PREFIX)
            && is_asked(comment, to)
        {
            chains.insert(to.clone());
            let (chain, handle) = (CONDITIONS.to_owned(), Some(rule.handle));
            let action = Action::DeleteRule { chain, handle };
            removal.commands.push(Command { place, action });
        }
    }
    for chain in chains {
        removal.extend(one_chain(nft, family, chain)?);
    }
    Ok(removal)
}

fn one_chain(nft: &mut Nft, family: Family, chain: String) -> Result<Removal, Refusal> {
    let place = shared::place(family);
    let rules = nft.rules(place, &chain)?;
    let action = Action::DeleteChain(chain);
    Ok(Removal {
        commands: vec![Command { place, action }],
        gone: rules
            .iter()
            .filter_map(|rule| translation::of_rule(family, rule))
            .collect(),
    })
}

/// Whose rules GC removes, and a warning about each container of which it leaves the reference's.
#[derive(Debug, Default)]
pub struct Dead {
    owners: BTreeSet<String>,
    left: Vec<String>,
    unread: Vec<Error>,
}

/// Who is dead on a network: the owners that are not among its valid attachments. The reference's rules name a
/// container and no network, so they stay; those of containers that are not valid are named.
///
/// # Errors
/// What the kernel refused.
pub fn dead(network: &str, valid: &[ValidAttachment]) -> Result<Dead, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(Dead::default());
    };
    let owners = invalid(&mut nft, network, valid)?;
    let is_valid = |id: &str| valid.iter().any(|attachment| attachment.container == id);
    let (mut left, mut unread) = (Vec::new(), Vec::new());
    for family in Family::ALL {
        match reference::containers(&mut nft, family) {
            Ok(named) => {
                let unknown = named.iter().filter(|id| !is_valid(id));
                left.extend(unknown.map(|id| reference::stays(family, id)));
            }
            Err(refusal) => unread.push(unreadable(family, refusal)),
        }
    }
    Ok(Dead {
        owners,
        left,
        unread,
    })
}

/// Removes everything that belongs to the dead, and gives what it led to; `None` when there was nothing.
///
/// # Errors
/// What the kernel refused.
pub fn gc(dead: Dead, log: &Log) -> Result<Option<Vec<Forward>>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(None);
    };
    let all = remove(&mut nft, &dead.owners)?;
    dead.left.iter().for_each(|warning| log.warn(warning));
    remove_unused(&mut nft)?;
    Error::all(dead.unread).map_or(Ok(all), Err)
}

/// Removes everything that belongs to the entries of an attachment but kept ones, and gives what it led to;
/// `None` when there was nothing.
///
/// # Errors
/// What the kernel refused.
pub fn entries(
    attachment: &Attachment,
    kept: &[Attachment],
) -> Result<Option<Vec<Forward>>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(None);
    };
    let (plain, others) = (owner::text(attachment), owner::entries(attachment));
    let kept: BTreeSet<String> = kept.iter().map(owner::text).collect();
    let is_its = |by: &str| by == plain || owner::without_entry(by) == Some(others.as_str());
    let is_index = |set: &Set| set.name == ATTACHMENTS.name();
    let mut owners = owners(&mut nft, is_index, is_its)?;
    owners.retain(|by| !kept.contains(by));
    remove(&mut nft, &owners)
}

/// Removes everything that belongs to some owners, and gives what it led to; `None` when there was nothing.
fn remove(nft: &mut Nft, dead: &BTreeSet<String>) -> Result<Option<Vec<Forward>>, Error> {
    let is_dead = |by: &str| dead.contains(by);
    let mut all: Option<Vec<Forward>> = None;
    let mut more = !dead.is_empty();
    while more {
        let (rest, gone) = transaction::run(nft, |nft| {
            let mut removal = Removal::default();
            let mut rest = false;
            for family in Family::ALL {
                let failed = |refusal| unreadable(family, refusal);
                let sets = nft.sets(shared::place(family)).map_err(failed)?;
                let all = claim::of_owners(nft, family, &sets, |_| true).map_err(failed)?;
                let (some, is_rest) = at_once(all, is_dead);
                rest |= is_rest;
                removal.extend(Removal::claims(family, &sets, &some, is_dead));
                removal.extend(rules(nft, family, |by, _| is_dead(by)).map_err(failed)?);
            }
            let Removal { commands, gone } = removal;
            let gone = (!commands.is_empty()).then_some(gone);
            Ok((commands, (rest, gone)))
        })?;
        more = rest;
        if let Some(gone) = gone {
            all.get_or_insert_default().extend(gone);
        }
    }
    Ok(all)
}

/// Removes what limits have that nobody uses any longer. Waits for other writers only where there is any.
fn remove_unused(nft: &mut Nft) -> Result<(), Error> {
    let look = |nft: &mut Nft| -> Result<Vec<Command>, Error> {
        let mut commands = Vec::new();
        for family in Family::ALL {
            let more = unused::removal(nft, family);
            commands.extend(more.map_err(|refusal| unreadable(family, refusal))?);
        }
        Ok(commands)
    };
    match look(nft) {
        Ok(commands) if commands.is_empty() => Ok(()),
        _ => transaction::run(nft, |nft| Ok((look(nft)?, ()))),
    }
}

/// The owners on a network that are not valid.
fn invalid(
    nft: &mut Nft,
    network: &str,
    valid: &[ValidAttachment],
) -> Result<BTreeSet<String>, Error> {
    let mut kept = BTreeSet::new();
    for attachment in valid {
        let attachment = Attachment {
            network: network.to_owned(),
            container: attachment.container.clone(),
            ifname: attachment.ifname.clone(),
        };
        kept.insert(owner::text(&attachment));
        kept.insert(owner::entries(&attachment));
    }
    let mut owners = owners(nft, |_| true, |by| owner::is_of_network(by, network))?;
    owners.retain(|by| !kept.contains(owner::without_entry(by).unwrap_or(by)));
    Ok(owners)
}

/// The owners that elements of some sets and rules with conditions name.
fn owners(
    nft: &mut Nft,
    is_listed: impl Fn(&Set) -> bool,
    is_asked: impl Fn(&str) -> bool,
) -> Result<BTreeSet<String>, Error> {
    let mut owners = BTreeSet::new();
    for family in Family::ALL {
        let failed = |refusal| unreadable(family, refusal);
        let place = shared::place(family);
        let mut sets = nft.sets(place).map_err(failed)?;
        sets.retain(&is_listed);
        let elements = claim::of_owners(nft, family, &sets, &is_asked);
        let elements = elements.map_err(failed)?.into_values();
        owners.extend(elements.filter_map(|element| element.comment));
        let rules = nft.rules(place, CONDITIONS).map_err(failed)?;
        owners.extend(rules.into_iter().filter_map(|rule| rule.comment));
    }
    owners.retain(|by| is_asked(by));
    Ok(owners)
}

/// As many of the elements as one batch may change: whole ports, and who was here last of all, so that
/// whoever finds the rest knows the owner. Says whether there are more.
fn at_once(all: Elements, is_dead: impl Fn(&str) -> bool) -> (Elements, bool) {
    let is_theirs = |element: &Element| element.comment.as_deref().is_some_and(&is_dead);
    let ports = claim::ports_of(&all, is_theirs);
    let is_rest = ports.len() > AT_ONCE;
    let mut ports: BTreeSet<HostPort> = ports.into_iter().take(AT_ONCE).collect();
    let ranges = all
        .iter()
        .filter_map(|((id, _), element)| Range::of(*id, element));
    let begun: Vec<Range> = ranges.filter(|range| range.has_any(&ports)).collect();
    ports.extend(begun.into_iter().flat_map(Range::ports));
    let is_one = |id: SetId, element: &Element| {
        let mut its = range::ports(id, element).peekable();
        match its.peek() {
            Some(_) => its.any(|port| ports.contains(&port)),
            None => !is_rest,
        }
    };
    let some = all
        .into_iter()
        .filter(|((id, _), element)| is_one(*id, element));
    (some.collect(), is_rest)
}
