//! Every host port in our tables and in those of the reference.

use std::net::SocketAddr;

use common::error::Error;
use common::{Attachment, Family};
use nft::expr::Expr;
use nft::object::Rule;
use nft::socket::Nft;

use super::elements::{element_target, host_port_of};
use super::layout::{CONDITIONS, HOSTPORTS, LOOKUPS};
use super::set::{Purpose, SetId};
use super::{private, reference, shared, translation, unreadable};
use crate::list::Forward;

/// Our backend's name.
const OURS: &str = "nftables";
/// The name of the reference's backend of the same kind.
const REFERENCE: &str = "nftables-reference";

/// Every host port, in the order in which they are asked for.
///
/// # Errors
/// What the kernel refused.
pub fn list() -> Result<Vec<Forward>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for family in Family::ALL {
        let failed = |refusal| unreadable(family, refusal);
        let led = is_led(&mut nft, family, &["prerouting", HOSTPORTS]).map_err(failed)?;
        let conditional = conditional(&mut nft, family).map_err(failed)?;
        all.extend(conditional.into_iter().map(|forward| Forward {
            is_reached: led,
            ..forward
        }));
        for purpose in [Purpose::Dnat, Purpose::Shadowed] {
            for by_address in [true, false] {
                let id = SetId {
                    purpose,
                    by_address,
                };
                let lookups = LOOKUPS.iter().filter(|(_, of)| *of == by_address);
                let lookup: Vec<&str> = lookups.map(|(name, _)| *name).collect();
                let led = led && is_led(&mut nft, family, &lookup).map_err(failed)?;
                let elements = elements(&mut nft, family, id).map_err(failed)?;
                all.extend(elements.into_iter().map(|forward| Forward {
                    is_reached: led,
                    ..forward
                }));
            }
        }
        let theirs = reference::rules(&mut nft, family).map_err(failed)?;
        all.extend(theirs.iter().filter_map(|rule| {
            let container = rule.comment.clone().unwrap_or_default();
            let owner = Attachment {
                network: String::new(),
                container,
                ifname: String::new(),
            };
            Some(Forward {
                owner,
                backend: REFERENCE,
                ..forward_of(family, rule)?
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
fn elements(nft: &mut Nft, family: Family, id: SetId) -> Answer<Vec<Forward>> {
    let mut elements = nft.elements(shared::place(family), &id.name())?;
    if id.purpose == Purpose::Shadowed {
        elements.sort_by(|a, b| b.key.cmp(&a.key));
    }
    let forward = |element: &nft::object::Element| {
        let port = host_port_of(id, &element.key)?;
        let (address, to) = element_target(id, element)?;
        Some(Forward {
            host_ip: port.address,
            host_port: port.port,
            protocol: port.protocol,
            to: SocketAddr::new(address, to),
            owner: attachment(element.comment.as_deref().unwrap_or_default()),
            backend: OURS,
            counters: None,
            is_conditional: false,
            is_reached: true,
        })
    };
    Ok(elements.iter().filter_map(forward).collect())
}

/// The attachments with conditions: a rule that leads to a chain with forwards.
fn conditional(nft: &mut Nft, family: Family) -> Answer<Vec<Forward>> {
    let place = shared::place(family);
    let mut all = Vec::new();
    for jump in nft.rules(place, CONDITIONS)? {
        let Some(Expr::Jump(chain)) = jump.exprs.last() else {
            continue;
        };
        if !chain.starts_with(private::PREFIX) {
            continue;
        }
        let owner = attachment(jump.comment.as_deref().unwrap_or_default());
        let rules = nft.rules(place, chain)?;
        let forwards = rules.iter().filter_map(|rule| forward_of(family, rule));
        all.extend(forwards.map(|forward| Forward {
            owner: owner.clone(),
            is_conditional: true,
            ..forward
        }));
    }
    Ok(all)
}

/// The forward that a rule makes, as if it were ours and nobody's.
pub fn forward_of(family: Family, rule: &Rule) -> Option<Forward> {
    let stale = translation::of_rule(family, rule)?;
    let port = rule.exprs.iter().find_map(|expr| match expr {
        Expr::Load { value, .. } => value.get(..2).filter(|_| value.len() < 4),
        _ => None,
    });
    let port = u16::from_be_bytes(port?.try_into().ok()?);
    Some(Forward {
        host_ip: stale.host_ip,
        host_port: stale.host_port,
        protocol: stale.protocol,
        to: SocketAddr::new(stale.container?, port),
        owner: attachment(""),
        backend: OURS,
        counters: None,
        is_conditional: false,
        is_reached: true,
    })
}

/// `NETWORK/CONTAINER/INTERFACE`, as our comments say it.
fn attachment(comment: &str) -> Attachment {
    let mut parts = comment.splitn(3, '/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Attachment {
        network: next(),
        container: next(),
        ifname: next(),
    }
}
