//! Everybody who claims a host port. The newest is served: his claim is the element in the map, with
//! those in the sets of what is masqueraded. The others wait in a map of their own, numbered from 1,
//! the oldest, so that the next one serves in the step in which the newest goes.

pub mod claims;

use std::collections::BTreeMap;
use std::net::IpAddr;

use common::Family;
use nft::object::Element;

use super::elements::{Elements, element_target, host_port_of, padded_port, place, target};
use super::owner::is_same_container;
use super::range::Ranges;
use super::set::{Purpose, SetId};
use crate::host_port::HostPort;

pub use claims::{Claim, Marks, Queues};

/// The place of the one who waits with that number.
pub fn waiting(port: HostPort, number: u16, any: IpAddr) -> (SetId, Vec<u8>) {
    let (id, mut key) = place(port, Purpose::Shadowed, any);
    key.extend(padded_port(number));
    (id, key)
}

fn number_of(key: &[u8]) -> u16 {
    last_number(key).unwrap_or(u16::MAX)
}

fn last_number(bytes: &[u8]) -> Option<u16> {
    let last = bytes.get(bytes.len().checked_sub(4)?..)?;
    Some(u16::from_be_bytes(last.get(..2)?.try_into().ok()?))
}

/// The claims that elements represent. An element without an owner is not a claim.
pub fn of_elements(elements: &Elements) -> Queues {
    let mut waiting: BTreeMap<HostPort, Vec<(u16, Claim)>> = BTreeMap::new();
    let mut serving: BTreeMap<HostPort, Claim> = BTreeMap::new();
    for ((id, key), element) in elements {
        let Some(port) = host_port_of(*id, key) else {
            continue;
        };
        match id.purpose {
            Purpose::Shadowed => {
                let claim = waiting_claim(*id, element).map(|claim| (number_of(key), claim));
                waiting.entry(port).or_default().extend(claim);
            }
            Purpose::Dnat => {
                let claim = element_target(*id, element);
                if let (Some(to), Some(owner)) = (claim, element.comment.clone()) {
                    let marks = Marks::default();
                    serving.insert(port, Claim { owner, to, marks });
                }
            }
            _ => {}
        }
    }
    for ((id, key), element) in elements {
        if let Some(claim) = host_port_of(*id, key).and_then(|port| serving.get_mut(&port))
            && element.comment.as_ref() == Some(&claim.owner)
        {
            claim.marks.add(id.purpose);
        }
    }
    let mut queues = Queues::new();
    for (port, mut claims) in waiting {
        claims.sort_by_key(|(number, _)| *number);
        queues.insert(port, claims.into_iter().map(|(_, claim)| claim).collect());
    }
    add_ranges(&mut queues, &serving, elements);
    for (port, claim) in serving {
        queues.entry(port).or_default().push(claim);
    }
    queues
}

/// The claims of ranges, where their owners have no single element: before all others where one is served, else
/// behind them.
fn add_ranges(queues: &mut Queues, serving: &BTreeMap<HostPort, Claim>, elements: &Elements) {
    for (range, claim) in Ranges::found(elements).iter() {
        for port in range.ports() {
            let claims = queues.entry(port).or_default();
            let served = serving.get(&port);
            let is_own = |one: &Claim| one.owner == claim.owner;
            if !claims.iter().chain(served).any(is_own) {
                let place = served.map_or(claims.len(), |_| 0);
                claims.insert(place, claim.at(port));
            }
        }
    }
}

fn waiting_claim(id: SetId, element: &Element) -> Option<Claim> {
    Some(Claim {
        owner: element.comment.clone()?,
        to: element_target(id, element)?,
        marks: Marks::from_code(last_number(element.data.as_deref()?)?),
    })
}

/// The elements that claims become, in the sets that there are or will be; what is found there decides what is in
/// ranges.
pub fn to_elements(
    queues: &Queues,
    found: &Elements,
    is_there: impl Fn(SetId) -> bool,
) -> Elements {
    let ranges = Ranges::wanted(queues, found);
    let mut elements = ranges.elements();
    for (port, claims) in queues {
        let (waiting, serving) = ranges.rest(*port, claims);
        for (number, claim) in (1..=u16::MAX).zip(waiting) {
            let place = self::waiting(*port, number, claim.to.ip());
            let mut data = target(claim.to);
            data.extend(padded_port(claim.marks.code()));
            insert(&mut elements, place, Some(data), &claim.owner);
        }
        let Some(serving) = serving else {
            continue;
        };
        let address = serving.to.ip();
        let data = Some(target(serving.to));
        let map = place(*port, Purpose::Dnat, address);
        insert(&mut elements, map, data, &serving.owner);
        for purpose in serving.marks.purposes() {
            let set = place(*port, purpose, address);
            insert(&mut elements, set, None, &serving.owner);
        }
    }
    elements.retain(|(id, _), _| is_there(*id));
    elements
}

fn insert(elements: &mut Elements, place: (SetId, Vec<u8>), data: Option<Vec<u8>>, owner: &str) {
    let element = Element {
        key: place.1.clone(),
        key_end: None,
        data,
        comment: Some(owner.to_owned()),
        siblings: None,
    };
    elements.insert(place, element);
}

/// Adds an attachment's claim as the newest. Where its own container is served, by another network or entry, it
/// comes behind that, and keeps the place that it has there: a container does not take a port from itself.
pub fn claim(claims: &mut Vec<Claim>, claim: Claim) {
    let is_own = |other: &Claim| is_same_container(&other.owner, &claim.owner);
    let others = claims.iter().rposition(|other| !is_own(other));
    let before = claims.iter().position(|other| other.owner == claim.owner);
    let kept = before.filter(|place| others.is_none_or(|others| *place > others));
    if let Some(place) = before {
        claims.remove(place);
    }
    let newest = match claims.last() {
        Some(serving) if is_own(serving) => claims.len() - 1,
        _ => claims.len(),
    };
    claims.insert(kept.unwrap_or(newest), claim);
}

/// The claims of one owner, with their places in the queues.
pub fn claims_of(queues: &Queues, owner: &str) -> BTreeMap<HostPort, (usize, Claim)> {
    let own = |(port, claims): (&HostPort, &Vec<Claim>)| {
        let place = claims.iter().position(|claim| claim.owner == owner)?;
        Some((*port, (place, claims.get(place)?.clone())))
    };
    queues.iter().filter_map(own).collect()
}

/// The address of no container, of which only the family counts.
pub fn any(family: Family) -> IpAddr {
    match family {
        Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Protocol;

    fn of(owner: &str) -> Claim {
        Claim {
            owner: owner.into(),
            to: "10.22.0.2:80".parse().unwrap(),
            marks: Marks::of([Purpose::Hairpin(16), Purpose::Localhost]),
        }
    }

    fn port(address: Option<&str>) -> HostPort {
        HostPort {
            protocol: Protocol::Udp,
            address: address.map(|text| text.parse().unwrap()),
            within: None,
            number: 53,
        }
    }

    #[test]
    fn claims_are_read_back_from_their_elements_in_their_order() {
        let owners = ["n/a/eth0", "n/b/eth0", "n/c/eth0"];
        for marks in [
            Marks::default(),
            Marks::of([Purpose::MasqAll]),
            Marks::of([Purpose::Hairpin(0)]),
            Marks::of([Purpose::Hairpin(32), Purpose::Localhost]),
        ] {
            let claims: Vec<Claim> = owners
                .iter()
                .map(|owner| Claim { marks, ..of(owner) })
                .collect();
            let one = vec![of("n/d/eth0")];
            let queues = Queues::from([(port(None), claims), (port(Some("192.0.2.1")), one)]);
            let elements = to_elements(&queues, &Elements::new(), |_| true);
            assert_eq!(of_elements(&elements), queues);
        }
    }

    #[test]
    fn a_gap_in_the_numbers_is_closed_and_what_nobody_owns_is_no_claim() {
        let claims = ["n/a/eth0", "n/b/eth0", "n/c/eth0"].map(of).to_vec();
        let mut elements = to_elements(
            &Queues::from([(port(None), claims)]),
            &Elements::new(),
            |_| true,
        );
        elements.remove(&waiting(port(None), 1, any(Family::V4)));
        for element in elements.values_mut() {
            if element.comment.as_deref() == Some("n/c/eth0") {
                element.comment = None;
            }
        }
        let left = of_elements(&elements);
        assert_eq!(left, Queues::from([(port(None), vec![of("n/b/eth0")])]));
        let again = to_elements(&left, &elements, |_| true);
        assert!(again.keys().all(|(id, _)| id.purpose != Purpose::Shadowed));
    }

    #[test]
    fn the_newest_claim_is_served_unless_its_container_has_the_port_already() {
        let mut claims = Vec::new();
        let order = |claims: &[Claim]| -> Vec<String> {
            claims.iter().map(|claim| claim.owner.clone()).collect()
        };
        for (owner, expected) in [
            ("n/a/eth0", &["n/a/eth0"][..]),
            ("n/b/eth0", &["n/a/eth0", "n/b/eth0"]),
            ("n/b/eth0", &["n/a/eth0", "n/b/eth0"]),
            ("n/a/eth0", &["n/b/eth0", "n/a/eth0"]),
            ("m/a/eth1", &["n/b/eth0", "m/a/eth1", "n/a/eth0"]),
            ("m/a/eth1", &["n/b/eth0", "m/a/eth1", "n/a/eth0"]),
            ("n/a/eth0", &["n/b/eth0", "m/a/eth1", "n/a/eth0"]),
            ("n/b/eth0", &["m/a/eth1", "n/a/eth0", "n/b/eth0"]),
            ("m/a/eth1", &["n/a/eth0", "n/b/eth0", "m/a/eth1"]),
            ("n/a/eth0", &["n/b/eth0", "n/a/eth0", "m/a/eth1"]),
            (
                "l/a/eth2",
                &["n/b/eth0", "n/a/eth0", "l/a/eth2", "m/a/eth1"],
            ),
            (
                "n/a/eth0",
                &["n/b/eth0", "n/a/eth0", "l/a/eth2", "m/a/eth1"],
            ),
            (
                "l/a/eth2",
                &["n/b/eth0", "n/a/eth0", "l/a/eth2", "m/a/eth1"],
            ),
            (
                "m/a/eth1",
                &["n/b/eth0", "n/a/eth0", "l/a/eth2", "m/a/eth1"],
            ),
        ] {
            claim(&mut claims, of(owner));
            assert_eq!(order(&claims), expected, "{owner}");
        }
    }
}
