//! Everything that ADD would change.

use common::Drift;
use common::error::Error;
use common::sys::netlink::Refusal;
use nft::socket::Nft;

use super::conditional::{self, Conditional, Present};
use super::observe::{Comparison, Shared};
use super::scope::rivals::{self, Rivals};
use super::set::{Purpose, SetId};
use super::shared::Seen;
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

/// How one IP version's table differs from a plan: CHECK prints it, ADD makes up for it.
pub struct Difference {
    /// What is in the sets, beside what should be.
    pub comparison: Comparison,
    /// What attachments share, limits with it.
    pub shared: shared::Diff,
    /// Who has the ports within other limits; nobody where conditions decide who gets a packet.
    pub rivals: Rivals,
    /// What there is of rules with conditions.
    pub conditional: Present,
}

/// Compares. `is_there` says which sets there will be.
///
/// # Errors
/// What the kernel refused.
pub fn difference(
    nft: &mut Nft,
    (plan, forwards): (&Plan, &Forwards),
    seen: &Seen,
    conditional: Option<&Conditional>,
    is_there: impl Fn(SetId) -> bool,
) -> Result<Difference, Refusal> {
    let (family, attachment) = (forwards.family, &plan.attachment);
    let comparison = observe::compare(nft, plan, forwards, seen, is_there)?;
    let need = observe::need(forwards, plan.masquerade);
    let mut shared = shared::diff(comparison.completed(need), seen);
    let mut rivals = Rivals::default();
    if let Some(only) = &forwards.only {
        let is_asked = conditional.is_none();
        scope::diff(nft, (family, seen), only, is_asked, &mut shared)?;
        if is_asked {
            let ports: Vec<_> = comparison.claims.keys().copied().collect();
            let owner = owner::text(attachment);
            rivals = rivals::of(nft, family, seen, only, (&ports, &owner))?;
        }
    }
    Ok(Difference {
        comparison,
        shared,
        rivals,
        conditional: conditional::observe(nft, family, attachment)?,
    })
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
    let is_there =
        |id: SetId| id.purpose != Purpose::Shadowed || seen.sets.contains(&id.set(family));
    let about = (plan, forwards);
    let difference = difference(nft, about, &seen, conditional, is_there).map_err(failed)?;
    let (shared, mut wanted) = (difference.shared, difference.comparison.wanted);
    let mut found = difference.comparison.found;
    let mut drifts = shared.drifts;
    let obstacle = |why| Drift::new(shared::table_name(family), "our layout", why);
    drifts.extend(shared.obstacle.map(obstacle));
    if let Some(only) = &forwards.only {
        drifts.extend(difference.rivals.drifts(family, only));
    }
    let owner = owner::text(&plan.attachment);
    let own = claim::owned(&found, &owner);
    if own.is_empty()
        && let Some(theirs) = reference::check(nft, plan, forwards).map_err(failed)?
    {
        return Ok(theirs);
    }
    let waits = |elements| Comparison::is_waiting(elements, &owner);
    if waits(&wanted) != waits(&found) {
        // Who takes a port shifts the others behind it, which is not a drift of its own.
        wanted.retain(|(id, _), _| id.purpose != Purpose::Shadowed);
        found.retain(|(id, _), _| id.purpose != Purpose::Shadowed);
    }
    let interfaces = forwards.only.as_ref().map(|only| only.interfaces.as_str());
    drifts.extend(claim::drifts(family, &wanted, &found, interfaces));
    if let Some(conditional) = conditional {
        let (attachment, words) = (&plan.attachment, &forwards.conditions);
        let present = &difference.conditional;
        let more = conditional::drifts(family, attachment, words, present, conditional);
        drifts.extend(more);
    }
    Ok(drifts)
}
