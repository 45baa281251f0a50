//! Every host port in our tables and in those of the reference.

use common::error::Error;
use common::{Attachment, Family};
use nft::expr::Expr;
use nft::object::{Counters, Element};
use nft::socket::Nft;

use super::elements::{element_target, host_port_of};
use super::layout::{self, BY_ADDRESS, CONDITIONS, HOSTPORTS};
use super::set::{By, Purpose, SetId};
use super::{private, reference, scope, shared, translation, unreadable};
use crate::entry;
use crate::host_port::{Forward, HostPort};
use crate::list::row::{REFERENCE, Row};

/// Our backend's name.
const OURS: &str = "nftables";

/// Every host port, in the order in which they are consulted.
///
/// # Errors
/// What the kernel refused.
pub fn list() -> Result<Vec<Row>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for family in Family::ALL {
        let failed = |refusal| unreadable(family, refusal);
        let led = is_led(&mut nft, family, &["prerouting", HOSTPORTS]).map_err(failed)?;
        let conditional = conditional(&mut nft, family).map_err(failed)?;
        all.extend(conditional.into_iter().map(|row| Row {
            is_reached: led,
            ..row
        }));
        let scopes = scope::all(&mut nft, family).map_err(failed)?;
        let bys: Vec<By> = [By::Address]
            .into_iter()
            .chain(scopes.iter().map(|(scope, _)| By::Scope(*scope)))
            .chain([By::Port])
            .collect();
        for purpose in [Purpose::Dnat, Purpose::Shadowed] {
            for by in bys.iter().copied() {
                let id = SetId { purpose, by };
                let (scope, is_asked) = match by {
                    By::Scope(scope) => (Some(scope), scopes.contains(&(scope, true))),
                    By::Address | By::Port => (None, true),
                };
                let lookups = layout::lookups(scope).into_iter();
                let mut lookup: Vec<String> = lookups
                    .filter(|(_, of)| *of == by)
                    .map(|(name, _)| name)
                    .collect();
                lookup.extend(scope.map(|_| BY_ADDRESS.to_owned()));
                let lookup: Vec<&str> = lookup.iter().map(String::as_str).collect();
                let led = led && is_asked && is_led(&mut nft, family, &lookup).map_err(failed)?;
                let elements = elements(&mut nft, family, id).map_err(failed)?;
                all.extend(elements.into_iter().map(|row| Row {
                    is_reached: led,
                    ..row
                }));
            }
        }
        let theirs = reference::rules(&mut nft, family).map_err(failed)?;
        all.extend(theirs.iter().filter_map(|rule| {
            let container = rule.comment.clone().unwrap_or_default();
            let owner = Attachment {
                container,
                ..Attachment::default()
            };
            Some(Row {
                owner,
                backend: REFERENCE,
                ..row(translation::of_rule(family, rule)?)
            })
        }));
    }
    Ok(all)
}

/// Whether each of these chains leads on.
fn is_led(nft: &mut Nft, family: Family, chains: &[&str]) -> Answer<bool> {
    for chain in chains {
        if nft.rules(shared::place(family), chain)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

type Answer<T> = Result<T, common::sys::netlink::Refusal>;

/// The forwards in a map, or of those who wait, the next one first.
fn elements(nft: &mut Nft, family: Family, id: SetId) -> Answer<Vec<Row>> {
    let mut elements = nft.counted_elements(shared::place(family), &id.name())?;
    if id.purpose == Purpose::Shadowed {
        elements.sort_by(|(a, _), (b, _)| b.key.cmp(&a.key));
    }
    let forward = |(element, counters): &(Element, Option<Counters>)| {
        let port = host_port_of(id, &element.key)?;
        let is_conditional = port.within.is_some();
        let port = HostPort {
            within: None,
            ..port
        };
        let to = element_target(id, element)?;
        Some(Row {
            is_conditional,
            counters: *counters,
            ..owned(Forward { port, to }, element.comment.as_deref())
        })
    };
    Ok(elements.iter().filter_map(forward).collect())
}

/// The attachments with conditions: a rule that leads to a chain with forwards.
fn conditional(nft: &mut Nft, family: Family) -> Answer<Vec<Row>> {
    let place = shared::place(family);
    let mut all = Vec::new();
    for jump in nft.rules(place, CONDITIONS)? {
        let Some(Expr::Jump(chain)) = jump.exprs.last() else {
            continue;
        };
        if !chain.starts_with(private::PREFIX) {
            continue;
        }
        let rules = nft.rules(place, chain)?;
        let forwards = rules
            .iter()
            .filter_map(|rule| translation::of_rule(family, rule));
        all.extend(forwards.map(|forward| Row {
            is_conditional: true,
            ..owned(forward, jump.comment.as_deref())
        }));
    }
    Ok(all)
}

/// A row with what our comment says of its owner.
fn owned(forward: Forward, comment: Option<&str>) -> Row {
    let owner = named(comment.unwrap_or_default());
    Row {
        entry: entry::of(&owner).map(str::to_owned),
        owner: entry::attachment(&owner),
        ..row(forward)
    }
}

/// A row without its owner.
fn row(forward: Forward) -> Row {
    Row {
        forward,
        owner: Attachment::default(),
        entry: None,
        backend: OURS,
        counters: None,
        is_conditional: false,
        is_reached: true,
    }
}

/// `NETWORK/CONTAINER/INTERFACE`, perhaps with `/ENTRY`, as our comments say it.
fn named(comment: &str) -> Attachment {
    let mut parts = comment.splitn(3, '/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Attachment {
        network: next(),
        container: next(),
        ifname: next(),
    }
}
