//! How that stands which the plugins made: nobody's any more, hidden behind another one, or missing.

use std::collections::HashMap;
use std::path::Path;

use common::cache::{Cache, Entry};
use common::sys::netns::{Netns, OpenError};
use common::{Attachment, Family, Protocol};
use portmap::list::Forward;

use crate::owners::Owners;
use crate::table::Tone;

/// How one thing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As it should, as far as can be told.
    Active,
    /// Its attachment is gone: why.
    Stale(&'static str),
    /// An earlier one takes its packets: whose that is.
    Shadowed(String),
    /// Another backend has the same port: whose that is.
    Contested(String),
    /// An attachment has it by its configuration, and the kernel does not: what to run, or why that does
    /// not help.
    Missing(String),
}

impl State {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            State::Active => "active",
            State::Stale(_) => "stale",
            State::Shadowed(_) => "shadowed",
            State::Contested(_) => "contested",
            State::Missing(_) => "missing",
        }
    }

    /// The rest.
    pub fn details(&self) -> String {
        match self {
            State::Active => String::new(),
            State::Stale(why) => (*why).to_owned(),
            State::Shadowed(by) => format!("behind {by}"),
            State::Contested(by) => format!("also {by}"),
            State::Missing(way_out) => way_out.clone(),
        }
    }

    /// How a row with it is seen.
    pub fn tone(&self) -> Tone {
        match self {
            State::Active => Tone::Plain,
            _ => Tone::Bad,
        }
    }
}

/// The state of each host port that the kernel has.
pub fn of_forwards(forwards: &[Forward], cache: &Cache, owners: &Owners<'_>) -> Vec<State> {
    let mut earlier: HashMap<(Family, Protocol, u16), Vec<usize>> = HashMap::new();
    let mut states: Vec<State> = Vec::with_capacity(forwards.len());
    for (place, forward) in forwards.iter().enumerate() {
        let family = Family::of(forward.to.ip());
        let key = (family, forward.protocol, forward.host_port);
        let before = earlier.entry(key).or_default();
        let (same, foreign) = rivals(forwards, forward, before);
        let stale = staleness(forward, cache).map(State::Stale);
        states.push(stale.unwrap_or_else(|| behind(same, foreign, owners)));
        let rival = foreign.and_then(|(place, _)| states.get_mut(place));
        if let Some(rival @ State::Active) = rival {
            *rival = State::Contested(holder(forward, owners));
        }
        if forward.is_reached && !forward.is_conditional {
            before.push(place);
        }
    }
    states
}

type Rival<'a> = Option<(usize, &'a Forward)>;

/// The first of the earlier ones that takes a port's packets, in its own backend and in another one.
fn rivals<'a>(all: &'a [Forward], forward: &Forward, before: &[usize]) -> (Rival<'a>, Rival<'a>) {
    let earlier = before
        .iter()
        .filter_map(|place| Some((*place, all.get(*place)?)));
    let mut rivals = earlier.filter(|(_, other)| {
        other.owner != forward.owner
            && (other.host_ip.is_none() || other.host_ip == forward.host_ip)
    });
    let same = rivals
        .clone()
        .find(|(_, other)| other.backend == forward.backend);
    (
        same,
        rivals.find(|(_, other)| other.backend != forward.backend),
    )
}

fn behind(same: Rival<'_>, foreign: Rival<'_>, owners: &Owners<'_>) -> State {
    match (same, foreign) {
        (Some((_, other)), _) => State::Shadowed(owners.name(&other.owner)),
        (None, Some((_, other))) => State::Contested(holder(other, owners)),
        (None, None) => State::Active,
    }
}

fn holder(forward: &Forward, owners: &Owners<'_>) -> String {
    format!("{} in {}", owners.name(&forward.owner), forward.backend)
}

fn staleness(forward: &Forward, cache: &Cache) -> Option<&'static str> {
    if !forward.is_reached {
        return Some("no rule leads here");
    }
    gone(&forward.owner, cache)
}

/// Why an owner is none any more.
pub fn gone(owner: &Attachment, cache: &Cache) -> Option<&'static str> {
    // Whom an unreadable file belongs to is not known.
    if !cache.exists || !cache.faults.is_empty() {
        return None;
    }
    let mut entries: Vec<&Entry> = match owner.network.is_empty() {
        // The reference's nftables rules name the container alone.
        true => cache
            .entries
            .iter()
            .filter(|entry| entry.attachment.container == owner.container)
            .collect(),
        false => cache.find(owner).collect(),
    };
    if entries.is_empty() {
        return Some("not in the runtime's cache");
    }
    entries.retain(|entry| {
        let netns = Netns::open(Path::new(&entry.netns));
        !matches!(netns, Err(OpenError::Gone(_)))
    });
    entries.is_empty().then_some("its namespace is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(container: &str, host_ip: Option<&str>, backend: &'static str) -> Forward {
        Forward {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port: 8080,
            protocol: Protocol::Tcp,
            to: "10.22.0.2:80".parse().unwrap(),
            owner: Attachment {
                network: "n".into(),
                container: container.into(),
                ifname: "eth0".into(),
            },
            backend,
            counters: None,
            is_conditional: false,
            is_reached: true,
        }
    }

    fn words(forwards: &[Forward]) -> Vec<&'static str> {
        let cache = Cache::default();
        let states = of_forwards(forwards, &cache, &Owners::of(&cache));
        states.iter().map(State::word).collect()
    }

    #[test]
    fn the_first_of_a_backend_takes_the_port_and_those_of_two_backends_contest_it() {
        let all = [
            forward("a", None, "iptables-nft"),
            forward("b", None, "iptables-nft"),
            forward("c", Some("192.0.2.1"), "iptables-nft"),
            forward("d", None, "nftables"),
        ];
        assert_eq!(
            words(&all),
            ["contested", "shadowed", "shadowed", "contested"]
        );
    }

    #[test]
    fn one_address_and_conditions_leave_room_for_others() {
        let mut conditional = forward("a", None, "iptables-nft");
        conditional.is_conditional = true;
        let all = [
            conditional,
            forward("b", Some("192.0.2.1"), "iptables-nft"),
            forward("c", Some("192.0.2.2"), "iptables-nft"),
            forward("d", None, "iptables-nft"),
        ];
        assert_eq!(words(&all), ["active"; 4]);
    }

    #[test]
    fn what_no_rule_leads_to_is_stale_and_takes_nothing() {
        let mut orphan = forward("a", None, "iptables-nft");
        orphan.is_reached = false;
        assert_eq!(
            words(&[orphan, forward("b", None, "iptables-nft")]),
            ["stale", "active"]
        );
    }

    #[test]
    fn what_a_cache_does_not_know_is_stale() {
        let cache = Cache {
            exists: true,
            ..Cache::default()
        };
        let all = [forward("a", None, "nftables")];
        let states = of_forwards(&all, &cache, &Owners::of(&cache));
        assert_eq!(states, [State::Stale("not in the runtime's cache")]);
    }
}
