//! ADD: completes what is shared, claims the host ports, and replaces whoever had them.

use common::error::{Code, Error};
use common::sys::netlink::Refusal;

use super::claim::{self, Taken};
use super::command::{Action, Command};
use super::elements::{Elements, index, of_plan};
use super::layout::CONDITIONS;
use super::object::{Chain, Rule};
use super::remove::{self, Removal};
use super::shared::{self, Need};
use super::socket::Nft;
use super::undo::{Change, Undo};
use super::{conditions, owner, private, transaction, unreadable};
use crate::config::{Masquerade, OnConflict};
use crate::host_port::HostPort;
use crate::mapping::Family;
use crate::plan::{Forwards, Plan};

/// What was done.
#[derive(Debug)]
pub struct Added {
    /// What takes it back.
    pub undo: Undo,
    /// The host ports that changed hands.
    pub taken: Vec<Taken>,
    /// Whether anything had to be done.
    pub changed: bool,
}

/// Applies a plan: all of it or nothing.
///
/// # Errors
/// Code 7 for conditions that nft cannot take, 11 when the ruleset never holds still, 102 with the
/// owner of a taken host port, 103 without nf_tables, or what the kernel refused.
pub fn add(plan: &Plan, on_conflict: OnConflict) -> Result<Added, Error> {
    for forwards in &plan.families {
        conditions::validate(forwards.family, &forwards.conditions)?;
    }
    let mut nft = Nft::open()?;
    let mut added = transaction::run(&mut nft, |nft| {
        let mut commands = Vec::new();
        let mut changes = Vec::new();
        let mut taken = Vec::new();
        for forwards in &plan.families {
            let failed = |refusal| unreadable(forwards.family, refusal);
            if on_conflict == OnConflict::Error
                && let Some(taken) = conflict(nft, plan, forwards).map_err(failed)?
            {
                let Taken { port, by } = taken;
                let msg = format!("host port {port} is taken");
                let error = Error::new(Code::Conflict, msg);
                return Err(error.with_details(format!("its owner is {by}")));
            }
            let decision = decide(nft, plan, forwards)?;
            commands.extend(decision.commands);
            changes.push(decision.change);
            taken.extend(decision.evicted);
        }
        let others = Family::ALL
            .into_iter()
            .filter(|f| plan.family(*f).is_none());
        for family in others {
            let decision = leave(nft, plan, family);
            if let Some(decision) = decision.map_err(|refusal| unreadable(family, refusal))? {
                commands.extend(decision.commands);
                changes.push(decision.change);
            }
        }
        let added = Added {
            undo: Undo { changes },
            taken,
            changed: !commands.is_empty(),
        };
        Ok((commands, added))
    })?;
    let conditional = |forwards: &&Forwards| !forwards.conditions.is_empty();
    for forwards in plan.families.iter().filter(conditional) {
        match write_condition(&mut nft, plan, forwards) {
            Ok(written) => added.changed |= written,
            Err(error) => {
                return Err(match added.undo.run() {
                    Ok(()) => error,
                    Err(also) => error.and(also),
                });
            }
        }
    }
    Ok(added)
}

/// A wanted host port that somebody else has, on an address in common.
fn conflict(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<Option<Taken>, Refusal> {
    let family = forwards.family;
    let sets = nft.sets(shared::place(family))?;
    let ports: Vec<HostPort> = forwards.ports.iter().map(HostPort::from).collect();
    let found = claim::overlapping(nft, family, &sets, &ports)?;
    Ok(claim::taken(&found, &owner::text(&plan.attachment))
        .into_iter()
        .next())
}

/// What a plan needs of what is shared.
pub fn need(forwards: &Forwards, masquerade: Masquerade) -> Need {
    let masqueraded = masquerade != Masquerade::Nothing;
    let by_elements = forwards.conditions.is_empty();
    Need {
        family: forwards.family,
        // With it, route_localnet is set.
        guard: masqueraded && forwards.family == Family::V4,
        hairpin: (masquerade == Masquerade::Needed && by_elements)
            .then_some(forwards.container.len),
    }
}

/// The elements that a plan wants: with conditions only the one that says that it is here.
pub fn wanted(forwards: &Forwards, masquerade: Masquerade, owner: &str) -> Elements {
    match forwards.conditions.is_empty() {
        true => of_plan(forwards, masquerade, owner),
        false => Elements::from([index(owner, 0)]),
    }
}

/// What to do in one family.
struct Decision {
    commands: Vec<Command>,
    change: Change,
    evicted: Vec<Taken>,
}

fn decide(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<Decision, Error> {
    let family = forwards.family;
    let failed = |refusal| unreadable(family, refusal);
    let owner = owner::text(&plan.attachment);
    let need = need(forwards, plan.masquerade);
    let seen = shared::observe(nft, need).map_err(failed)?;
    let diff = shared::diff(need, &seen);
    if let Some(why) = diff.obstacle {
        return Err(shared::obstructed(family, &why));
    }
    let mut commands = diff.commands;
    let wanted = wanted(forwards, plan.masquerade, &owner);
    let ports: Vec<HostPort> = forwards.ports.iter().map(HostPort::from).collect();
    let container = Some(forwards.container.addr);
    let mut found =
        claim::of_ports(nft, family, &seen.sets, &owner, &ports, container).map_err(failed)?;
    if !forwards.conditions.is_empty() {
        // Those of others stay: the conditions decide who gets a packet.
        found = claim::owned(&found, &owner);
    }
    let own = claim::owned(&found, &owner);
    if !own.is_empty() && !claim::are_same(&own, &wanted) {
        // It was here before with something else, which has to go.
        let all = claim::of_owners(nft, family, &seen.sets, |by| by == owner);
        found.extend(all.map_err(failed)?);
    }
    let evicted = claim::taken(&found, &owner);
    commands.extend(claim::commands(family, &wanted, &found));
    let (chain, had_chain) = chain(nft, plan, forwards).map_err(failed)?;
    commands.extend(chain);
    let change = Change {
        family,
        attachment: plan.attachment.clone(),
        before: found,
        after: wanted,
        is_first: seen.table.is_none(),
        had_chain,
    };
    Ok(Decision {
        commands,
        change,
        evicted,
    })
}

/// Takes back what the attachment has in a family that its plan does not mention.
fn leave(nft: &mut Nft, plan: &Plan, family: Family) -> Result<Option<Decision>, Refusal> {
    let owner = owner::text(&plan.attachment);
    let sets = nft.sets(shared::place(family))?;
    let index = index(&owner, 0).0;
    if claim::at(nft, family, &sets, [index].into())?.is_empty() {
        return Ok(None);
    }
    let found = claim::of_owners(nft, family, &sets, |by| by == owner)?;
    let mut commands = claim::commands(family, &Elements::new(), &found);
    commands.extend(remove::own_chain(nft, family, &plan.attachment)?.commands);
    Ok(Some(Decision {
        commands,
        change: Change {
            family,
            attachment: plan.attachment.clone(),
            before: found,
            after: Elements::new(),
            is_first: false,
            had_chain: true,
        },
        evicted: Vec::new(),
    }))
}

/// Makes the attachment's own chain as it has to be, or removes it; says whether there was one.
fn chain(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<(Vec<Command>, bool), Refusal> {
    let place = shared::place(forwards.family);
    let name = private::chain(&plan.attachment);
    let is_there = nft.chains(place, &[&name])?.iter().any(Option::is_some);
    let command = |action| Command { place, action };
    if forwards.conditions.is_empty() {
        let removal = match is_there {
            true => remove::own_chain(nft, forwards.family, &plan.attachment)?,
            false => Removal::default(),
        };
        return Ok((removal.commands, is_there));
    }
    let rules = private::rules(forwards, plan.masquerade);
    let mut commands = Vec::new();
    if !is_there {
        commands.push(command(Action::AddChain(Chain {
            name: name.clone(),
            base: None,
        })));
    } else if same_rules(&nft.rules(place, &name)?, &rules) {
        return Ok((commands, is_there));
    } else {
        let (chain, handle) = (name.clone(), None);
        commands.push(command(Action::DeleteRule { chain, handle }));
    }
    commands.extend(rules.into_iter().map(|rule| {
        let (chain, first) = (name.clone(), false);
        command(Action::AddRule { chain, rule, first })
    }));
    Ok((commands, is_there))
}

/// Whether rules do the same.
pub fn same_rules(present: &[Rule], wanted: &[Rule]) -> bool {
    let exprs = |rules: &[Rule]| -> Vec<_> { rules.iter().map(|r| r.exprs.clone()).collect() };
    exprs(present) == exprs(wanted)
}

/// Has nft write the rule with the conditions, unless it is there, and reads it back. Says whether it
/// had to.
fn write_condition(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<bool, Error> {
    let (family, words) = (forwards.family, &forwards.conditions);
    let owner = owner::text(&plan.attachment);
    let chain = private::chain(&plan.attachment);
    let own = |nft: &mut Nft| -> Result<Vec<Rule>, Error> {
        let rules = nft.rules(shared::place(family), CONDITIONS);
        let mut rules = rules.map_err(|refusal| unreadable(family, refusal))?;
        rules.retain(|rule| rule.comment.as_deref() == Some(&owner));
        Ok(rules)
    };
    let present = own(nft)?;
    if let [rule] = present.as_slice()
        && conditions::is_as_written(family, words, &chain, &owner, rule.handle)?
    {
        return Ok(false);
    }
    let handles: Vec<u64> = present.iter().map(|rule| rule.handle).collect();
    conditions::write(family, words, &chain, &owner, &handles)?;
    match own(nft)?.as_slice() {
        [rule] if rule.leads_to(&chain) => Ok(true),
        _ => Err(Error::new(
            Code::InvalidConfig,
            format!(
                "the conditions are no tests of one rule: {}",
                words.join(" ")
            ),
        )),
    }
}
