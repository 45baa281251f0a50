//! Elements, looked up by their keys or in lists.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use common::Family;
use common::result::Prefix;
use common::sys::netlink::Refusal;
use nft::object::Set;
use nft::socket::Nft;

use super::super::elements::{Elements, index, on, place, target_of};
use super::super::queue;
use super::super::range::{Range, Ranges};
use super::super::scope;
use super::super::set::{By, On, Purpose, SetId};
use super::super::shared;
use super::ports_of;
use crate::host_port::HostPort;

/// From how many elements of one set on a list is tried before they are looked up.
const MANY: usize = 64;
/// How many elements are listed in the time in which one is looked up.
const LISTED_FOR_ONE: usize = 4;

/// Looks up everything that is in the sets for these host ports, whoever owns it or waits for it,
/// and whether an owner has been here.
///
/// A port's own container, where known, and the containers that the map leads to decide which keys
/// the sets of networks could have; `sets` are all that the table has.
///
/// # Errors
/// What the kernel refused.
pub fn of_ports(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    owner: &str,
    ports: &[HostPort],
    container: Option<IpAddr>,
) -> Result<Elements, Refusal> {
    let mut found = Elements::new();
    let mut wanted: BTreeSet<(SetId, Vec<u8>)> = BTreeSet::new();
    let there = present(family, sets);
    let is_there = |(id, _): &(SetId, Vec<u8>)| there.contains(id);
    let claim = |port: &HostPort| map(family, *port);
    let claims = ports.iter().map(claim).chain([index(owner, 0).0]);
    let keys = claims.filter(is_there).collect();
    find(nft, family, keys, &mut found)?;
    let prefixes = shared::hairpins(sets);
    for port in ports {
        let target = found
            .get(&claim(port))
            .and_then(|element| target_of(element.data.as_deref()?))
            .map(|to| to.ip());
        let containers: BTreeSet<IpAddr> = container.into_iter().chain(target).collect();
        for address in containers {
            let purposes = prefixes.iter().map(|prefix| Purpose::Hairpin(*prefix));
            let others = [Purpose::Localhost, Purpose::MasqAll];
            wanted.extend(
                purposes
                    .chain(others)
                    .map(|purpose| place(*port, purpose, address)),
            );
        }
    }
    wanted.retain(is_there);
    find(nft, family, wanted, &mut found)?;
    waiting(nft, family, &there, ports, &mut found)?;
    let ports = ports.iter().copied().collect();
    ranges(nft, family, sets, &ports, &mut found)?;
    Ok(found)
}

/// Finds the ranges that have one of these ports in lists of all: a node has few.
fn ranges(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    ports: &BTreeSet<HostPort>,
    found: &mut Elements,
) -> Result<(), Refusal> {
    let kinds: BTreeSet<By> = ports.iter().map(|port| By::range(on(*port))).collect();
    let ids = sets.iter().filter_map(|set| which(family, set));
    for id in ids.filter(|id| kinds.contains(&id.by)) {
        for element in nft.elements(shared::place(family), &id.name())? {
            if Range::of(id, &element).is_some_and(|range| range.has_any(ports)) {
                found.insert((id, element.key.clone()), element);
            }
        }
    }
    Ok(())
}

/// Those of our sets that a table has. A set of another type could not be searched for our keys.
fn present(family: Family, sets: &[Set]) -> BTreeSet<SetId> {
    sets.iter().filter_map(|set| which(family, set)).collect()
}

/// Which of our sets it is, if it is one.
fn which(family: Family, set: &Set) -> Option<SetId> {
    SetId::from_name(&set.name).filter(|id| id.set(family) == *set)
}

/// Looks up those who wait for host ports: one, and where there is one some more, until there is none.
fn waiting(
    nft: &mut Nft,
    family: Family,
    there: &BTreeSet<SetId>,
    ports: &[HostPort],
    found: &mut Elements,
) -> Result<(), Refusal> {
    let any = queue::any(family);
    let mut ports = ports.to_vec();
    ports.retain(|port| there.contains(&queue::waiting(*port, 1, any).0));
    let (mut first, mut last) = (1u16, 1u16);
    while !ports.is_empty() {
        let numbers = |port: &HostPort| {
            let port = *port;
            (first..=last).map(move |number| queue::waiting(port, number, any))
        };
        let keys = ports.iter().flat_map(numbers).collect();
        find(nft, family, keys, found)?;
        ports.retain(|port| found.contains_key(&queue::waiting(*port, last, any)));
        let Some(next) = last.checked_add(1) else {
            break;
        };
        (first, last) = (next, last.saturating_add(16));
    }
    Ok(())
}

/// Looks up the elements at given places.
///
/// # Errors
/// What the kernel refused.
pub fn at(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    mut places: BTreeSet<(SetId, Vec<u8>)>,
) -> Result<Elements, Refusal> {
    let there = present(family, sets);
    places.retain(|(id, _)| there.contains(id));
    let mut found = Elements::new();
    find(nft, family, places, &mut found)?;
    Ok(found)
}

/// The elements of the maps that serve some ports, whoever owns them: a port of a range as if it were a single one.
///
/// # Errors
/// What the kernel refused.
pub fn serving(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    ports: &BTreeSet<HostPort>,
) -> Result<Elements, Refusal> {
    let places = ports.iter().map(|port| map(family, *port));
    let mut all = at(nft, family, sets, places.collect())?;
    ranges(nft, family, sets, ports, &mut all)?;
    Ok(singles(family, &all, ports.iter().copied()))
}

/// The elements of some ports, those of ranges as if they were single.
fn singles(family: Family, all: &Elements, ports: impl Iterator<Item = HostPort>) -> Elements {
    let ranges = Ranges::found(all);
    let single = |port| {
        let place = map(family, port);
        let element = all.get(&place).cloned();
        Some((place.clone(), element.or_else(|| ranges.single(&place))?))
    };
    ports.filter_map(single).collect()
}

/// A port's place in its map, whose key needs no container.
fn map(family: Family, port: HostPort) -> (SetId, Vec<u8>) {
    place(port, Purpose::Dnat, queue::any(family))
}

/// The elements of the maps through which one of these ports could be reached, whoever owns them: at
/// its own address, or at all. For a port of every address, the maps of addresses are listed; those of
/// limits always are. `only` has the addresses of ports with limits.
///
/// # Errors
/// What the kernel refused.
pub fn overlapping(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    ports: &[HostPort],
    only: &[Prefix],
) -> Result<Elements, Refusal> {
    let both = ports.iter().flat_map(|port| [*port, port.everywhere()]);
    let mut found = serving(nft, family, sets, &both.collect())?;
    let ours: HashMap<HostPort, Vec<HostPort>> = ports.iter().fold(HashMap::new(), |mut all, p| {
        all.entry(p.everywhere()).or_default().push(*p);
        all
    });
    let is_wide = ports.iter().any(|port| port.address.is_none());
    let only = scope::intervals(only);
    let there = present(family, sets);
    let kinds: BTreeSet<On> = there.iter().map(|id| id.by.on).collect();
    for on in kinds {
        let limits = match on {
            On::One if is_wide => None,
            On::Within(scope) => Some(scope::read(nft, family, scope)?),
            On::One | On::All => continue,
        };
        let is_common = limits.as_ref().is_some_and(|limits| limits.meets(&only));
        let meets = |ours: &HostPort, theirs: &HostPort| match (ours.address, theirs.address) {
            (Some(addr), Some(other)) => addr == other,
            (Some(addr), None) => match &limits {
                Some(limits) => limits.meets(&scope::single(addr)),
                None => true,
            },
            (None, _) if ours.within.is_none() => true,
            (None, Some(addr)) => only.meets(&scope::single(addr)),
            (None, None) => ours.within == theirs.within || is_common,
        };
        let mut all = Elements::new();
        let maps = [By::one(on), By::range(on)].map(|by| SetId {
            purpose: Purpose::Dnat,
            by,
        });
        for id in maps.into_iter().filter(|id| there.contains(id)) {
            let elements = nft.elements(shared::place(family), &id.name())?;
            all.extend(elements.into_iter().map(|e| ((id, e.key.clone()), e)));
        }
        let mut theirs = ports_of(&all, |_| true);
        theirs.retain(|theirs| {
            let mut same = ours.get(&theirs.everywhere()).into_iter().flatten();
            same.any(|ours| meets(ours, theirs))
        });
        found.extend(singles(family, &all, theirs.into_iter()));
    }
    Ok(found)
}

/// Looks up elements one by one, or many of one set in a list of all, where that is not much longer.
fn find(
    nft: &mut Nft,
    family: Family,
    keys: BTreeSet<(SetId, Vec<u8>)>,
    found: &mut Elements,
) -> Result<(), Refusal> {
    let mut by_set: BTreeMap<SetId, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (id, key) in keys {
        by_set.entry(id).or_default().insert(key);
    }
    let mut places = Vec::new();
    for (id, keys) in by_set {
        let most = keys.len().saturating_mul(LISTED_FOR_ONE);
        let listed = (keys.len() >= MANY)
            .then(|| nft.elements_of_few(shared::place(family), &id.name(), most))
            .flatten();
        match listed {
            Some(all) => {
                let asked = all
                    .into_iter()
                    .filter(|element| keys.contains(&element.key));
                found.extend(asked.map(|element| ((id, element.key.clone()), element)));
            }
            None => places.extend(keys.into_iter().map(|key| (id, key))),
        }
    }
    let names: Vec<(String, Vec<u8>)> = places
        .iter()
        .map(|(id, key)| (id.name(), key.clone()))
        .collect();
    let answers = nft.lookup(shared::place(family), &names)?;
    let present = places.into_iter().zip(answers);
    found.extend(present.filter_map(|(place, element)| Some((place, element?))));
    Ok(())
}

/// Lists every element of these owners.
///
/// # Errors
/// What the kernel refused.
pub fn of_owners(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    is_asked: impl Fn(&str) -> bool,
) -> Result<Elements, Refusal> {
    let mut found = Elements::new();
    for id in sets.iter().filter_map(|set| which(family, set)) {
        for element in nft.elements(shared::place(family), &id.name())? {
            if element.comment.as_deref().is_some_and(&is_asked) {
                found.insert((id, element.key.clone()), element);
            }
        }
    }
    Ok(found)
}

/// Lists every element of an owner, and looks up every element of its ports.
///
/// # Errors
/// What the kernel refused.
pub fn of_owner(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    owner: &str,
) -> Result<Elements, Refusal> {
    let mut found = of_owners(nft, family, sets, |by| by == owner)?;
    let ports: BTreeSet<HostPort> = ports_of(&found, |_| true);
    let ports: Vec<HostPort> = ports.into_iter().collect();
    found.extend(of_ports(nft, family, sets, owner, &ports, None)?);
    Ok(found)
}
