//! What is in the sets for a plan, beside what should be.

use std::borrow::Cow;
use std::collections::BTreeMap;

use common::Family;
use common::sys::netlink::Refusal;
use nft::socket::Nft;

use super::elements::{Elements, index};
use super::layout::Parts;
use super::queue::{self, Claim, Queues};
use super::set::{By, SetId};
use super::shared::{self, Need, Seen};
use super::{claim, owner, wanted};
use crate::backend::Job;
use crate::host_port::HostPort;
use crate::options::Masquerade;
use crate::plan::{Forwards, Plan};

/// What a plan needs of what is shared.
pub fn need(forwards: &Forwards, masquerade: Masquerade) -> Need {
    let masqueraded = masquerade != Masquerade::Nothing;
    let by_elements = forwards.conditions.is_empty();
    let only = forwards.only.as_ref().filter(|_| by_elements);
    let scope = only.map(|only| only.scope);
    let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
    let on_loopback = forwards
        .ports
        .iter()
        .any(|forward| forward.port.address.is_some_and(is_loopback));
    Need {
        family: forwards.family,
        // What is masqueraded has route_localnet set.
        guard: (masqueraded || on_loopback) && forwards.family == Family::V4,
        hairpin: (masquerade == Masquerade::Needed && by_elements)
            .then_some(forwards.container.len),
        parts: Parts::of(scope),
    }
}

impl Comparison {
    /// The same with what the elements need.
    pub fn completed(&self, need: Need) -> Need {
        let ranges = |on| self.wanted.keys().any(|(id, _)| id.by == By::range(on));
        let parts = need.parts.with_ranges(ranges);
        Need { parts, ..need }
    }

    /// Whether the owner waits for a port, by these elements.
    pub fn is_waiting(elements: &Elements, owner: &str) -> bool {
        let is_behind = |claims: &Vec<Claim>| {
            let place = claims.iter().position(|claim| claim.owner == owner);
            place.is_some_and(|place| place + 1 < claims.len())
        };
        queue::of_elements(elements).values().any(is_behind)
    }
}

/// What is shared, read for several plans at once.
#[derive(Debug, Default)]
pub struct Shared(Vec<(Need, Seen)>);

impl Shared {
    /// Reads what these need, as far as it can be read.
    pub fn read(jobs: &[Job<'_>]) -> Shared {
        let mut all = Shared::default();
        let Ok(mut nft) = Nft::open() else {
            return all;
        };
        for (plan, _) in jobs {
            for forwards in &plan.families {
                let need = need(forwards, plan.masquerade);
                if all.known(need).is_none() {
                    let seen = shared::observe(&mut nft, need);
                    all.0.extend(seen.ok().map(|seen| (need, seen)));
                }
            }
        }
        all
    }

    fn known(&self, need: Need) -> Option<&Seen> {
        let mut all = self.0.iter();
        all.find(|(of, _)| *of == need).map(|(_, seen)| seen)
    }

    /// What was read of it, or is there now.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn of(&self, nft: &mut Nft, need: Need) -> Result<Cow<'_, Seen>, Refusal> {
        let known = self.known(need).map(|seen| Ok(Cow::Borrowed(seen)));
        known.unwrap_or_else(|| shared::observe(nft, need).map(Cow::Owned))
    }
}

/// What is in the sets for a plan's ports, and what should be.
pub struct Comparison {
    /// What is there.
    pub found: Elements,
    /// What shall.
    pub wanted: Elements,
    /// The owner's claims on ports that it has already, with their places in the queues.
    pub before: BTreeMap<HostPort, (usize, Claim)>,
    /// The owner's claims.
    pub claims: BTreeMap<HostPort, Claim>,
}

/// Compares the sets with a plan. `is_there` says which sets there will be.
///
/// # Errors
/// What the kernel refused.
pub fn compare(
    nft: &mut Nft,
    plan: &Plan,
    forwards: &Forwards,
    seen: &Seen,
    is_there: impl Fn(SetId) -> bool,
) -> Result<Comparison, Refusal> {
    let family = forwards.family;
    let owner = owner::text(&plan.attachment);
    let claims = wanted::claims(forwards, plan.masquerade, &owner);
    let ports: Vec<HostPort> = claims.keys().copied().collect();
    let container = Some(forwards.container.addr);
    let found = claim::of_ports(nft, family, &seen.sets, &owner, &ports, container)?;
    let mut comparison = compared(found, claims, &owner, &is_there);
    let own = claim::owned(&comparison.found, &owner);
    let wanted = claim::owned(&comparison.wanted, &owner);
    if !own.is_empty() && !claim::are_same(&own, &wanted) {
        // It was here before with something else, which has to go.
        let more = claim::of_owner(nft, family, &seen.sets, &owner)?;
        comparison.found.extend(more);
        comparison = compared(comparison.found, comparison.claims, &owner, is_there);
    }
    Ok(comparison)
}

fn compared(
    found: Elements,
    claims: BTreeMap<HostPort, Claim>,
    owner: &str,
    is_there: impl Fn(SetId) -> bool,
) -> Comparison {
    let mut queues: Queues = queue::of_elements(&found);
    let before = queue::claims_of(&queues, owner);
    for (port, queue) in &mut queues {
        if !claims.contains_key(port) {
            queue.retain(|claim| claim.owner != owner);
        }
    }
    for (port, claim) in &claims {
        queue::claim(queues.entry(*port).or_default(), claim.clone());
    }
    let mut wanted = queue::to_elements(&queues, &found, is_there);
    let (place, element) = index(owner, claims.len());
    wanted.insert(place, element);
    Comparison {
        found,
        wanted,
        before,
        claims,
    }
}
