//! What is wrong with a host port: nobody's any more, or hidden behind another one.

use std::collections::HashMap;
use std::path::Path;

use common::Attachment;
use common::cache::Cache;
use common::sys::netns::{Netns, OpenError};

use super::Forward;
use crate::mapping::{Family, Protocol};

/// How a host port stands.
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
}

impl State {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            State::Active => "active",
            State::Stale(_) => "stale",
            State::Shadowed(_) => "shadowed",
            State::Contested(_) => "contested",
        }
    }

    /// The rest.
    pub fn details(&self) -> String {
        match self {
            State::Active => String::new(),
            State::Stale(why) => (*why).to_owned(),
            State::Shadowed(by) => format!("behind {by}"),
            State::Contested(by) => format!("also {by}"),
        }
    }
}

/// The state of each.
pub fn states(forwards: &[Forward], cache: &Cache) -> Vec<State> {
    let mut earlier: HashMap<(Family, Protocol, u16), Vec<&Forward>> = HashMap::new();
    let mut states = Vec::with_capacity(forwards.len());
    for forward in forwards {
        let key = (
            Family::of(forward.to.ip()),
            forward.protocol,
            forward.host_port,
        );
        let before = earlier.entry(key).or_default();
        let stale = staleness(forward, cache).map(State::Stale);
        states.push(stale.unwrap_or_else(|| behind(forward, before)));
        if forward.is_reached && !forward.is_conditional {
            before.push(forward);
        }
    }
    states
}

fn behind(forward: &Forward, before: &[&Forward]) -> State {
    let rivals = before.iter().filter(|other| {
        other.owner != forward.owner
            && (other.host_ip.is_none() || other.host_ip == forward.host_ip)
    });
    let (same, foreign): (Vec<&&Forward>, Vec<&&Forward>) =
        rivals.partition(|other| other.backend == forward.backend);
    match (same.first(), foreign.first()) {
        (Some(other), _) => State::Shadowed(name(&other.owner)),
        (None, Some(other)) => {
            State::Contested(format!("{} in {}", name(&other.owner), other.backend))
        }
        (None, None) => State::Active,
    }
}

/// An owner in short.
pub fn name(owner: &Attachment) -> String {
    let parts = [&owner.network, &owner.container, &owner.ifname];
    let parts: Vec<&str> = parts
        .into_iter()
        .map(|part| if part.is_empty() { "?" } else { part.as_str() })
        .collect();
    parts.join("/")
}

fn staleness(forward: &Forward, cache: &Cache) -> Option<&'static str> {
    if !forward.is_reached {
        return Some("no rule leads here");
    }
    // Whom an unreadable file belongs to is not known.
    if !cache.exists || !cache.faults.is_empty() {
        return None;
    }
    let mut entries: Vec<_> = match forward.owner.network.is_empty() {
        // The reference's nftables rules name the container alone.
        true => cache
            .entries
            .iter()
            .filter(|entry| entry.attachment.container == forward.owner.container)
            .collect(),
        false => cache.find(&forward.owner).collect(),
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
        let states = states(forwards, &Cache::default());
        states.iter().map(State::word).collect()
    }

    #[test]
    fn the_first_of_a_backend_takes_the_port_and_other_backends_contest_it() {
        let all = [
            forward("a", None, "iptables-nft"),
            forward("b", None, "iptables-nft"),
            forward("c", Some("192.0.2.1"), "iptables-nft"),
            forward("d", None, "nftables"),
        ];
        assert_eq!(words(&all), ["active", "shadowed", "shadowed", "contested"]);
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
        let states = states(&[forward("a", None, "nftables")], &cache);
        assert_eq!(states, [State::Stale("not in the runtime's cache")]);
    }
}
