//! Everything that ADD would change.

use common::Drift;
use common::error::Error;
use nft::socket::Nft;

use super::conditional::{self, Conditional};
use super::observe::{Comparison, Shared};
use super::scope::rivals;
use super::set::Purpose;
use super::{claim, observe, owner, reference, scope, shared, unreadable};
use crate::plan::{Forwards, Plan};

/// Compares the kernel's state with the plan.
///
/// # Errors
/// Why it could not be found out; code 103 without nf_tables.
pub fn diff(shared: &Shared, plan: &Plan) -> Result<Vec<Drift>, Error> {
    let conditional = conditional::of_plan(plan)?;
    let mut nft = Nft::open()?;
    nft.generation()?;
    let mut drifts = Vec::new();
    for forwards in &plan.families {
        let conditional = conditional.get(&forwards.family);
        drifts.extend(compare(&mut nft, shared, (plan, forwards), conditional)?);
    }
    Ok(drifts)
}

fn compare(
    nft: &mut Nft,
    shared: &Shared,
    (plan, forwards): (&Plan, &Forwards),
    conditional: Option<&Conditional>,
) -> Result<Vec<Drift>, Error> {
    let family = forwards.family;
    let failed = |refusal| unreadable(family, refusal);
    let need = observe::need(forwards, plan.masquerade);
    let seen = shared.of(nft, need).map_err(failed)?;
    let is_there = |id: super::set::SetId| {
        id.purpose != Purpose::Shadowed || seen.sets.contains(&id.set(family))
    };
    let comparison = observe::compare(nft, plan, forwards, &seen, is_there).map_err(failed)?;
    let diff = shared::diff(comparison.completed(need), &seen);
    let mut drifts = diff.drifts;
    drifts.extend(diff.obstacle.map(|why| {
        let object = shared::table_name(family);
        Drift::new(object, "our layout", why)
    }));
    if let Some(only) = &forwards.only {
        let scope = scope::diff(nft, family, &seen, only, conditional.is_none());
        drifts.extend(scope.map_err(failed)?.drifts);
    }
    let owner = owner::text(&plan.attachment);
    if let (Some(only), None) = (&forwards.only, conditional) {
        let ports: Vec<_> = comparison.claims.keys().copied().collect();
        let rivals = rivals::of(nft, family, &seen, only, (&ports, &owner));
        drifts.extend(rivals.map_err(failed)?.drifts(family));
    }
    let own = claim::owned(&comparison.found, &owner);
    if own.is_empty()
        && let Some(theirs) = reference::check(nft, plan, forwards).map_err(failed)?
    {
        return Ok(theirs);
    }
    let (mut wanted, mut found) = (comparison.wanted, comparison.found);
    let waits = |elements| Comparison::is_waiting(elements, &owner);
    if waits(&wanted) != waits(&found) {
        // Who takes a port shifts the others behind it, which is not a drift of its own.
        wanted.retain(|(id, _), _| id.purpose != Purpose::Shadowed);
        found.retain(|(id, _), _| id.purpose != Purpose::Shadowed);
    }
    drifts.extend(claim::drifts(family, &wanted, &found));
    let present = conditional::observe(nft, family, &plan.attachment).map_err(failed)?;
    if let Some(conditional) = conditional {
        let (attachment, words) = (&plan.attachment, &forwards.conditions);
        let more = conditional::drifts(family, attachment, words, &present, conditional);
        drifts.extend(more);
    }
    Ok(drifts)
}
