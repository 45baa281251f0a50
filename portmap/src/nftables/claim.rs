//! An attachment's elements: found by key or by owner, and compared with its plan.

mod look;

use std::collections::{BTreeMap, BTreeSet};

use common::{Drift, Family};
use nft::command::{Action, Command};
use nft::object::{Element, Set};

use super::elements::{Elements, element_target, host_port_of};
use super::owner;
use super::queue::{self, Queues};
use super::range::{self, Range, Ranges};
use super::set::{ATTACHMENTS, Purpose, SetId};
use super::shared::{self, table_name};
use crate::host_port::{HostPort, claimed};

pub use look::{at, of_owner, of_owners, of_ports, overlapping, serving};

/// A host port that another attachment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The port.
    pub port: HostPort,
    /// Its owner.
    pub by: String,
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

/// What becomes of found elements when some owners' claims go: those that their ports have now or
/// that are theirs, and those that the ports are to have. Nobody else's port is touched.
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

/// An element as nft prints it.
pub fn shown(set: SetId, element: &Element) -> String {
    if set == ATTACHMENTS {
        return format!("{} host ports", element.siblings.unwrap_or_default());
    }
    if let Some(range) = Range::of(set, element) {
        return match range::container(element) {
            Some(container) => format!("{range} to {container}"),
            None => range.to_string(),
        };
    }
    let port = host_port_of(set, &element.key)
        .map_or_else(|| format!("{:02x?}", element.key), |port| port.to_string());
    match (element_target(set, element), &element.data) {
        (Some(to), _) => format!("{port} to {to}"),
        (None, Some(data)) => format!("{port} to {data:02x?}"),
        (None, None) => port,
    }
}

/// How the found elements differ from the wanted ones; `interfaces` are those of the limits in words.
pub fn drifts(
    family: Family,
    wanted: &Elements,
    found: &Elements,
    interfaces: Option<&str>,
) -> Vec<Drift> {
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
            let interfaces = |port: HostPort| interfaces.filter(|_| port.within.is_some());
            let what = port.map(|port| claimed(family, port, interfaces(port)));
            let drift = drift.of_taken(what);
            match actual {
                Some(_) => drift,
                None => drift.of_missing("element"),
            }
        })
        .collect()
}
