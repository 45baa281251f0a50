//! An attachment's elements: found by key or by owner, and compared with its plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use common::result::Prefix;
use common::sys::netlink::Refusal;
use common::{Drift, Family};
use nft::command::{Action, Command};
use nft::object::{Element, Set};
use nft::socket::Nft;

use super::elements::{Elements, host_port_of, index, place, shown, target_of};
use super::owner;
use super::queue::{self, Queues};
use super::range::{self, Range, Ranges};
use super::scope;
use super::set::{By, Purpose, SetId};
use super::shared::{self, table_name};
use crate::host_port::{HostPort, claimed};

/// From how many elements of one set on a list is tried before they are looked up.
const MANY: usize = 64;
/// How many elements are listed in the time in which one is looked up.
const LISTED_FOR_ONE: usize = 4;

/// A host port that another attachment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The port.
    pub port: HostPort,
    /// Its owner.
    pub by: String,
}

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
    // The map's key needs no container.
    let claim = |port: &HostPort| place(*port, Purpose::Dnat, queue::any(family));
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

/// Finds the ranges that have one of these ports in a list of all: a node has few.
fn ranges(
    nft: &mut Nft,
    family: Family,
    sets: &[Set],
    ports: &BTreeSet<HostPort>,
    found: &mut Elements,
) -> Result<(), Refusal> {
    let ids = sets.iter().filter_map(|set| which(family, set));
    for id in ids.filter(|id| id.by == By::Range) {
        for element in nft.elements(shared::place(family), &id.name())? {
            if Range::of(id, &element).is_some_and(|range| range.has_any(ports)) {
                found.insert((id, element.key.clone()), element);
            }
        }
    }
    Ok(())
}

/// Those of our sets that a table has. One of another making could not be asked for our keys.
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

/// The elements of the maps through which one of these ports could be reached, whoever owns them: at
/// its own address, or at all. For a port of every address, the map of addresses is listed; those of
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
    let places = both.map(|port| place(port, Purpose::Dnat, queue::any(family)));
    let mut found = at(nft, family, sets, places.collect())?;
    let ours: HashMap<HostPort, Vec<HostPort>> = ports.iter().fold(HashMap::new(), |mut all, p| {
        all.entry(p.everywhere()).or_default().push(*p);
        all
    });
    let is_wide = ports.iter().any(|port| port.address.is_none());
    let only = scope::intervals(only);
    let wide = ports.iter().map(|port| port.everywhere()).collect();
    let mut ranged = Elements::new();
    ranges(nft, family, sets, &wide, &mut ranged)?;
    let ranged = Ranges::found(&ranged);
    for port in wide {
        let place = place(port, Purpose::Dnat, queue::any(family));
        if let Some(element) = ranged.single(&place) {
            found.entry(place).or_insert(element);
        }
    }
    for id in sets.iter().filter_map(|set| which(family, set)) {
        if id.purpose != Purpose::Dnat {
            continue;
        }
        let limits = match id.by {
            By::Address if is_wide => None,
            By::Scope(scope) => Some(scope::read(nft, family, scope)?),
            By::Address | By::Port | By::Range => continue,
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
        for element in nft.elements(shared::place(family), &id.name())? {
            let Some(theirs) = host_port_of(id, &element.key) else {
                continue;
            };
            let mut same = ours.get(&theirs.everywhere()).into_iter().flatten();
            if same.any(|ours| meets(ours, &theirs)) {
                found.insert((id, element.key.clone()), element);
            }
        }
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

/// Lists every element of an owner, and looks up everything that stands for its ports.
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

/// The host ports of some elements.
pub fn ports_of(found: &Elements, is_asked: impl Fn(&Element) -> bool) -> BTreeSet<HostPort> {
    let asked = found.iter().filter(|(_, element)| is_asked(element));
    asked
        .flat_map(|((id, _), element)| range::ports(*id, element))
        .collect()
}

/// The host ports that another container is served on.
pub fn taken(found: &Elements, owner: &str) -> Vec<Taken> {
    let is_own = |by: &str| by == owner || owner::is_same_container(by, owner);
    let served = served(found).into_iter();
    let others = served.filter(|(_, by)| !by.as_deref().is_some_and(is_own));
    let taken = |(port, by): (HostPort, Option<String>)| Taken {
        port,
        by: by.unwrap_or("an unknown owner".into()),
    };
    others.map(taken).collect()
}

/// Who is served on each host port, by a single element or by a range.
pub fn served(found: &Elements) -> BTreeMap<HostPort, Option<String>> {
    let map = found
        .iter()
        .filter(|((id, _), _)| id.purpose == Purpose::Dnat);
    let single = map.filter_map(|((id, key), element)| {
        Some((host_port_of(*id, key)?, element.comment.clone()))
    });
    let mut all: BTreeMap<HostPort, Option<String>> = single.collect();
    for (range, claim) in Ranges::found(found).iter() {
        for port in range.ports() {
            all.entry(port).or_insert_with(|| Some(claim.owner.clone()));
        }
    }
    all
}

/// The elements of one owner.
pub fn owned(found: &Elements, owner: &str) -> Elements {
    found
        .iter()
        .filter(|(_, element)| element.comment.as_deref() == Some(owner))
        .map(|(place, element)| (place.clone(), element.clone()))
        .collect()
}

/// What becomes of found elements when some owners' claims go: those that stand for their ports now or
/// are theirs, and those that shall stand there. Nobody else's port is touched.
pub fn without(
    family: Family,
    sets: &[Set],
    found: &Elements,
    is_gone: impl Fn(&str) -> bool,
) -> (Elements, Elements) {
    let is_theirs = |element: &Element| element.comment.as_deref().is_some_and(&is_gone);
    let ports = ports_of(found, is_theirs);
    let is_touched = |((id, key), element): &(&(SetId, Vec<u8>), &Element)| {
        let range = Range::of(*id, element);
        is_theirs(element)
            || host_port_of(*id, key).is_some_and(|port| ports.contains(&port))
            || range.is_some_and(|range| range.has_any(&ports))
    };
    let touched: Elements = found
        .iter()
        .filter(is_touched)
        .map(|(place, element)| (place.clone(), element.clone()))
        .collect();
    let mut queues: Queues = queue::of_elements(&touched);
    for claims in queues.values_mut() {
        claims.retain(|claim| !is_gone(&claim.owner));
    }
    let wanted = queue::to_elements(&queues, &touched, |id| sets.contains(&id.set(family)));
    (touched, wanted)
}

/// What turns the found elements into the wanted ones: deletions first, so that a key which changes
/// hands is free when it is added.
pub fn commands(family: Family, wanted: &Elements, found: &Elements) -> Vec<Command> {
    let surplus = found.iter().filter(|(place, e)| !has(wanted, place, e));
    let missing = wanted.iter().filter(|(place, e)| !has(found, place, e));
    let mut actions: Vec<Action> = Vec::new();
    for ((id, key), _) in surplus {
        match actions.last_mut() {
            Some(Action::DeleteElements { set, keys }) if *set == id.name() => {
                keys.push(key.clone());
            }
            _ => actions.push(Action::DeleteElements {
                set: id.name(),
                keys: vec![key.clone()],
            }),
        }
    }
    for ((id, _), element) in missing {
        match actions.last_mut() {
            Some(Action::AddElements { set, elements }) if *set == id.name() => {
                elements.push(element.clone());
            }
            _ => actions.push(Action::AddElements {
                set: id.name(),
                elements: vec![element.clone()],
            }),
        }
    }
    let place = shared::place(family);
    let command = |action| Command { place, action };
    actions.into_iter().map(command).collect()
}

/// Whether two collections mean the same.
pub fn are_same(a: &Elements, b: &Elements) -> bool {
    a.len() == b.len() && a.iter().all(|(place, element)| has(b, place, element))
}

fn has(elements: &Elements, place: &(SetId, Vec<u8>), element: &Element) -> bool {
    elements.get(place).is_some_and(|e| e.is_same(element))
}

/// How the found elements differ from the wanted ones.
pub fn drifts(family: Family, wanted: &Elements, found: &Elements) -> Vec<Drift> {
    let text = |id: SetId, element: Option<&Element>| match element {
        None => "no element".to_owned(),
        Some(element) => {
            let owner = element.comment.as_deref().unwrap_or("nobody");
            format!("{} of {owner}", shown(id, element))
        }
    };
    // A port of a range counts as if it were a single one where the other side has one.
    let ranges = [wanted, found].map(Ranges::found);
    let [expected, actual] = [(wanted, &ranges[0]), (found, &ranges[1])].map(|(all, ranges)| {
        move |place: &(SetId, Vec<u8>)| all.get(place).cloned().or_else(|| ranges.single(place))
    });
    let places: BTreeSet<&(SetId, Vec<u8>)> = wanted.keys().chain(found.keys()).collect();
    let differ = places.into_iter().filter(|place| match wanted.get(place) {
        Some(element) => !has(found, place, element),
        None => true,
    });
    let differ: Vec<_> = differ
        .map(|place| (place, expected(place), actual(place)))
        .filter(|(_, expected, actual)| expected != actual)
        .collect();
    let is_others = |(id, _): &(SetId, Vec<u8>), one: &Option<Element>, other: &Option<Element>| {
        let owners = one.as_ref().zip(other.as_ref());
        id.purpose == Purpose::Dnat && owners.is_some_and(|(a, b)| a.comment != b.comment)
    };
    let taken: BTreeSet<HostPort> = differ
        .iter()
        .filter(|(place, expected, actual)| is_others(place, expected, actual))
        .filter_map(|((id, key), _, _)| host_port_of(*id, key))
        .collect();
    differ
        .iter()
        .map(|(place, expected, actual)| {
            let object = format!("set {} of {}", place.0.name(), table_name(family));
            let (expected, actual) = (expected.as_ref(), actual.as_ref());
            let drift = Drift::new(object, text(place.0, expected), text(place.0, actual));
            let port = host_port_of(place.0, &place.1);
            let port = port.filter(|port| taken.contains(port));
            let drift = drift.of_taken(port.and_then(|port| claimed(family, port)));
            match actual {
                Some(_) => drift,
                None => drift.of_missing("element"),
            }
        })
        .collect()
}
