//! ADD: completes what is shared, and claims the host ports: the newest claim on each is served.

use common::Family;
use common::error::{Code, Error};
use common::sys::netlink::Refusal;
use nft::command::Command;
use nft::object::Element;
use nft::socket::Nft;

use super::claim::{self, Taken};
use super::conditional::{self, Conditional, Order};
use super::diff::{Difference, difference};
use super::elements::{Elements, index};
use super::observe::{Comparison, need};
use super::reference::{self, Theirs};
use super::set::{Purpose, SetId};
use super::undo::{Change, Undo};
use super::{layout, owner, queue, remove, shared, transaction, unreadable, wanted};
use crate::config::Evidence;
use crate::host_port::HostPort;
use crate::options::OnConflict;
use crate::plan::{Forwards, Plan};

/// What becomes of host ports that others have.
#[derive(Debug, Default)]
pub struct Others {
    /// Those that changed hands.
    pub evicted: Vec<Taken>,
    /// Those that stay theirs on some addresses of the limits, as their limits are older.
    pub before: Vec<Taken>,
}

/// Applies a plan: all of it or nothing.
///
/// # Errors
/// Code 7 for conditions that nft cannot take, 11 when the ruleset never holds still, 102 with the
/// owner of a taken host port, 103 without nf_tables, or what the kernel refused.
pub fn apply(plan: &Plan, on_conflict: OnConflict) -> Result<(Undo, Others), Error> {
    let conditional = conditional::of_plan(plan)?;
    let mut nft = Nft::open()?;
    transaction::run(&mut nft, |nft| {
        let mut commands = Vec::new();
        let mut changes = Vec::new();
        let mut others = Others::default();
        for forwards in &plan.families {
            if on_conflict == OnConflict::Error {
                refuse_if_taken(nft, plan, forwards)?;
            }
            let conditional = conditional.get(&forwards.family);
            let (more, change, theirs) = decide(nft, plan, forwards, conditional)?;
            commands.extend(more);
            changes.push(change);
            others.evicted.extend(theirs.evicted);
            others.before.extend(theirs.before);
        }
        let unplanned = Family::ALL
            .into_iter()
            .filter(|f| plan.family(*f).is_none());
        for family in unplanned {
            let left = leave_family(nft, plan, family);
            if let Some((more, change)) = left.map_err(|refusal| unreadable(family, refusal))? {
                commands.extend(more);
                changes.push(change);
            }
        }
        let is_change = !commands.is_empty();
        let undo = Undo { changes, is_change };
        Ok((commands, (undo, others)))
    })
}

/// Removes what the owner of a plan has, and gives what brings it back.
///
/// # Errors
/// As [`apply`].
pub fn leave(plan: &Plan) -> Result<Undo, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(Undo::default());
    };
    let decide = |nft: &mut Nft| {
        let (mut commands, mut changes) = (Vec::new(), Vec::new());
        for family in Family::ALL {
            let left = leave_all(nft, plan, family);
            if let Some((more, change)) = left.map_err(|refusal| unreadable(family, refusal))? {
                commands.extend(more);
                changes.push(change);
            }
        }
        Ok((commands, changes))
    };
    // Most have nothing, and wait for nobody then.
    if decide(&mut nft)?.0.is_empty() {
        return Ok(Undo::default());
    }
    let changes = transaction::run(&mut nft, decide)?;
    let is_change = true;
    Ok(Undo { changes, is_change })
}

/// Removes what the attachment has in a family, also of the reference's.
fn leave_all(
    nft: &mut Nft,
    plan: &Plan,
    family: Family,
) -> Result<Option<(Vec<Command>, Change)>, Refusal> {
    let own = leave_family(nft, plan, family)?;
    let reference = match plan.family(family) {
        Some(forwards) => replaced(nft, plan, forwards)?,
        None => Vec::new(),
    };
    if own.is_none() && reference.is_empty() {
        return Ok(None);
    }
    let (mut commands, change) =
        own.unwrap_or_else(|| (Vec::new(), Change::of_nothing(family, &plan.attachment)));
    commands.extend(reference::removal(family, &reference).commands);
    Ok(Some((
        commands,
        Change {
            reference,
            ..change
        },
    )))
}

/// What the reference made for the attachment, which ours takes the place of.
fn replaced(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<Vec<Theirs>, Refusal> {
    let evidence = Evidence {
        addresses: vec![forwards.container.addr],
        ..Evidence::default()
    };
    let (own, _) = reference::own(nft, forwards.family, &plan.attachment, &evidence)?;
    Ok(reference::restorable(own))
}

/// Refuses when another container has a wanted host port, on an address in common.
fn refuse_if_taken(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<(), Error> {
    let family = forwards.family;
    let failed = |refusal| unreadable(family, refusal);
    let sets = nft.sets(shared::place(family)).map_err(failed)?;
    let ports = forwards.ports.iter();
    let ports: Vec<HostPort> = ports
        .map(|forward| wanted::limited(forwards, forward.port))
        .collect();
    let only = forwards.only.as_ref();
    let only = only.map_or(&[][..], |only| &only.prefixes);
    let found = claim::overlapping(nft, family, &sets, &ports, only).map_err(failed)?;
    match claim::taken(&found, &owner::text(&plan.attachment)).first() {
        None => Ok(()),
        Some(Taken { port, by }) => {
            let error = Error::new(Code::Conflict, format!("host port {port} is taken"));
            Err(error.with_details(format!("its owner is {by}")))
        }
    }
}

/// What to do in one family: commands, what takes them back, and what becomes of others.
fn decide(
    nft: &mut Nft,
    plan: &Plan,
    forwards: &Forwards,
    conditional: Option<&Conditional>,
) -> Result<(Vec<Command>, Change, Others), Error> {
    let family = forwards.family;
    let failed = |refusal| unreadable(family, refusal);
    let need = need(forwards, plan.masquerade);
    let seen = shared::observe(nft, need).map_err(failed)?;
    let made = layout::fixed_sets(family, need.parts.with_ranges(|_| true));
    let is_there = |id: SetId| {
        seen.sets.contains(&id.set(family))
            || made.contains(&id)
            || need.hairpin.map(Purpose::Hairpin) == Some(id.purpose)
    };
    let about = (plan, forwards);
    let difference = difference(nft, about, &seen, conditional, is_there).map_err(failed)?;
    if let Some(why) = &difference.shared.obstacle {
        return Err(shared::obstructed(family, why));
    }
    let owner = owner::text(&plan.attachment);
    let others = others(&difference, forwards, &owner);
    let reference = replaced(nft, plan, forwards).map_err(failed)?;
    let Comparison {
        found,
        wanted,
        before,
        claims,
    } = difference.comparison;
    let mut commands = difference.shared.commands;
    commands.extend(claim::commands(family, &wanted, &found));
    let (attachment, present) = (&plan.attachment, difference.conditional);
    let newest = (conditional, Order::First);
    let rules = conditional::commands(family, attachment, &present, newest);
    let behind = present.before().to_vec();
    commands.extend(rules);
    commands.extend(reference::removal(family, &reference).commands);
    let change = Change {
        family,
        attachment: attachment.clone(),
        before,
        after: claims,
        index: indexes(&owner, &found, &wanted),
        is_first: seen.table.is_none(),
        conditional: present.into(),
        behind,
        reference,
    };
    Ok((commands, change, others))
}

/// What becomes of the ports of others. With conditions nothing does: they decide who gets a packet.
fn others(difference: &Difference, forwards: &Forwards, owner: &str) -> Others {
    if !forwards.conditions.is_empty() {
        return Others::default();
    }
    let Difference {
        comparison, rivals, ..
    } = difference;
    let now = claim::served(&comparison.wanted);
    let is_own = |taken: &Taken| now.get(&taken.port).and_then(Option::as_deref) == Some(owner);
    let mut evicted = claim::taken(&comparison.found, owner);
    evicted.retain(is_own);
    let within = forwards.only.as_ref().map(|only| only.scope);
    let of_ours = |port| HostPort { within, ..port };
    let is_new = |taken: &&Taken| !comparison.before.contains_key(&of_ours(taken.port));
    evicted.extend(rivals.behind.iter().filter(is_new).cloned());
    let before = rivals.before.clone();
    Others { evicted, before }
}

/// An owner's element in the set of attachments, before and after.
fn indexes(owner: &str, found: &Elements, wanted: &Elements) -> [Option<Element>; 2] {
    let (place, _) = index(owner, 0);
    [found.get(&place).cloned(), wanted.get(&place).cloned()]
}

/// Removes what the attachment has in a family.
fn leave_family(
    nft: &mut Nft,
    plan: &Plan,
    family: Family,
) -> Result<Option<(Vec<Command>, Change)>, Refusal> {
    let owner = owner::text(&plan.attachment);
    let sets = nft.sets(shared::place(family))?;
    let index = index(&owner, 0).0;
    if claim::at(nft, family, &sets, [index].into())?.is_empty() {
        return Ok(None);
    }
    let found = claim::of_owner(nft, family, &sets, &owner)?;
    let (touched, wanted) = claim::without(family, &sets, &found, |by| by == owner);
    let mut commands = claim::commands(family, &wanted, &touched);
    let conditional = conditional::observe(nft, family, &plan.attachment)?;
    commands.extend(remove::own_chain(nft, family, &plan.attachment)?.commands);
    let change = Change {
        before: queue::claims_of(&queue::of_elements(&touched), &owner),
        index: indexes(&owner, &touched, &wanted),
        behind: conditional.before().to_vec(),
        conditional: conditional.into(),
        ..Change::of_nothing(family, &plan.attachment)
    };
    Ok(Some((commands, change)))
}
