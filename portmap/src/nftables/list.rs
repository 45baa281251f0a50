//! Every host port in our tables and in those of the reference.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use common::error::Error;
use common::{Attachment, Family};
use nft::expr::Expr;
use nft::object::{Counters, Element};
use nft::socket::Nft;

use super::elements::{element_target, host_port_of};
use super::layout::{self, BY_ADDRESS, CONDITIONS, HOSTPORTS};
use super::set::{By, On, Purpose, SetId};
use super::{private, range, reference, scope, shared, translation, unreadable};
use crate::entry;
use crate::host_port::{Forward, HostPort};
use crate::limits::Scope;
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
        all.extend(of_maps(&mut nft, family, led).map_err(failed)?);
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

/// The forwards in the maps.
fn of_maps(nft: &mut Nft, family: Family, led: bool) -> Answer<Vec<Row>> {
    let scopes = scope::all(nft, family)?;
    let within = scopes.iter().map(|(scope, _)| On::Within(*scope));
    let kinds = [On::One].into_iter().chain(within).chain([On::All]);
    let bys = kinds.flat_map(|on| [By::one(on), By::range(on)]);
    let bys: Vec<By> = bys.collect();
    let mut limits = HashMap::new();
    for (scope, _) in &scopes {
        limits.insert(*scope, scope::at(nft, family, *scope)?);
    }
    let mut rows = Vec::new();
    // Whose claims are in single elements: a range says nothing of them.
    let mut singles = HashSet::new();
    for purpose in [Purpose::Dnat, Purpose::Shadowed] {
        for by in bys.iter().copied() {
            let id = SetId { purpose, by };
            let led = led && is_asked(nft, family, by, &scopes)?;
            let elements = elements(nft, family, id)?;
            let single = |(element, _): &Counted| host_port_of(id, &element.key);
            let claim = |one: &Counted| Some((single(one)?, one.0.comment.clone()));
            singles.extend(elements.iter().filter_map(claim));
            rows.push((id, led, elements));
        }
    }
    let of = |(id, led, elements): (SetId, bool, Vec<Counted>)| {
        let all = elements
            .iter()
            .flat_map(|one| of_element(id, one, &singles))
            .collect::<Vec<_>>();
        let limits = id.by.scope().and_then(|scope| limits.get(&scope).cloned());
        all.into_iter().map(move |row| Row {
            is_reached: led,
            limits: limits.clone(),
            ..row
        })
    };
    Ok(rows.into_iter().flat_map(of).collect())
}

/// Whether packets get to the map of a kind.
fn is_asked(nft: &mut Nft, family: Family, by: By, scopes: &[(Scope, bool)]) -> Answer<bool> {
    let scope = by.scope();
    if scope.is_some_and(|scope| !scopes.contains(&(scope, true))) {
        return Ok(false);
    }
    let (one, chain) = (layout::chain(By::one(by.on)), layout::chain(by));
    let rules = nft.rules(shared::place(family), &one)?;
    if by.is_range && !rules.iter().any(|rule| rule.leads_to(&chain)) {
        return Ok(false);
    }
    let lookups: Vec<&str> = scope.map(|_| BY_ADDRESS).into_iter().collect();
    is_led(nft, family, &[&lookups[..], &[&chain]].concat())
}

type Counted = (Element, Option<Counters>);

/// The elements of a map, or of those who wait, the next one first.
fn elements(nft: &mut Nft, family: Family, id: SetId) -> Answer<Vec<Counted>> {
    let mut elements = nft.counted_elements(shared::place(family), &id.name())?;
    if id.purpose == Purpose::Shadowed {
        elements.sort_by(|(a, _), (b, _)| b.key.cmp(&a.key));
    }
    Ok(elements)
}

/// The forwards of an element. The ports of a range are counted together, which the first one shows.
fn of_element(
    id: SetId,
    (element, counters): &Counted,
    singles: &HashSet<(HostPort, Option<String>)>,
) -> Vec<Row> {
    let comment = element.comment.as_deref();
    let container = range::container(element).filter(|_| id.by.is_range);
    let to = |port: HostPort| match container {
        Some(container) => Some(SocketAddr::new(container, port.number)),
        None => element_target(id, element),
    };
    let is_own = |port: &HostPort| {
        container.is_none() || !singles.contains(&(*port, comment.map(str::to_owned)))
    };
    let row = |(port, counters): (HostPort, Option<Counters>)| {
        let to = to(port)?;
        let within = None;
        let port = HostPort { within, ..port };
        Some(Row {
            counters,
            ..owned(Forward { port, to }, comment)
        })
    };
    let counters = std::iter::once(*counters).chain(std::iter::repeat(None));
    let ports = range::ports(id, element).filter(is_own);
    ports.zip(counters).filter_map(row).collect()
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
        for rule in &rules {
            let Some(forward) = translation::of_rule(family, rule) else {
                continue;
            };
            let scope = rule.exprs.iter().find_map(scope::asked);
            let limits = scope.map(|scope| scope::at(nft, family, scope));
            all.push(Row {
                is_conditional: true,
                counters: rule.counters(),
                limits: limits.transpose()?,
                ..owned(forward, jump.comment.as_deref())
            });
        }
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
        limits: None,
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
