//! The state of what the plugins made: active, without an owner, hidden behind another one, or missing.

use std::collections::HashMap;

use common::cache::Index;
use common::sys::netns::{Netns, OpenError};
use common::{Attachment, Family, Protocol};
use portmap::list::row::Row;

use crate::firewall::End;
use crate::missing::WayOut;
use crate::owners::Owners;
use crate::requests::netns_of;
use crate::table::Tone;

/// The state of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In place, as far as can be determined.
    Active,
    /// Its attachment is gone: why.
    Stale(&'static str),
    /// An earlier one takes its packets: the owner of that.
    Shadowed(String),
    /// Another backend has the same port: the owner of that.
    Contested(String),
    /// Something else takes its packets first, or may.
    Taken(End),
    /// An attachment has it by its configuration, and the kernel does not.
    Missing(WayOut),
}

impl State {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            State::Active => "active",
            State::Stale(_) => "stale",
            State::Shadowed(_) => "shadowed",
            State::Contested(_) | State::Taken(_) => "contested",
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
            State::Taken(end) => {
                let first = if end.is_sure {
                    "taken first by"
                } else {
                    "perhaps taken first by"
                };
                format!("{first} {}", end.text())
            }
            State::Missing(way_out) => way_out.to_string(),
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
pub fn of_forwards(forwards: &[Row], owners: &Owners<'_>) -> Vec<State> {
    let mut known = HashMap::new();
    let mut earlier: HashMap<(Family, Protocol, u16), Vec<usize>> = HashMap::new();
    let mut states: Vec<State> = Vec::with_capacity(forwards.len());
    for (place, row) in forwards.iter().enumerate() {
        let family = Family::of(row.forward.to.ip());
        let port = row.forward.port;
        let key = (family, port.protocol, port.number);
        let before = earlier.entry(key).or_default();
        let (same, foreign) = rivals(forwards, row, before);
        let mut gone = || {
            let look = || gone(&row.owner, &owners.index);
            *known.entry(&row.owner).or_insert_with(look)
        };
        let stale = match row.is_reached {
            true => gone(),
            false => Some("no rule leads here"),
        };
        let stale = stale.map(State::Stale);
        states.push(stale.unwrap_or_else(|| behind(same, foreign, owners)));
        let rival = foreign.and_then(|(place, _)| states.get_mut(place));
        if let Some(rival @ State::Active) = rival {
            *rival = State::Contested(holder(row, owners));
        }
        if row.is_reached && !row.is_conditional {
            before.push(place);
        }
    }
    states
}

type Rival<'a> = Option<(usize, &'a Row)>;

/// The first of the earlier ones that takes a port's packets, in its own backend and in another one.
fn rivals<'a>(all: &'a [Row], row: &Row, before: &[usize]) -> (Rival<'a>, Rival<'a>) {
    let earlier = before
        .iter()
        .filter_map(|place| Some((*place, all.get(*place)?)));
    let mut rivals = earlier.filter(|(_, other)| {
        other.owner != row.owner
            && [None, row.forward.port.address].contains(&other.forward.port.address)
    });
    let same = rivals
        .clone()
        .find(|(_, other)| other.backend == row.backend);
    (same, rivals.find(|(_, other)| other.backend != row.backend))
}

fn behind(same: Rival<'_>, foreign: Rival<'_>, owners: &Owners<'_>) -> State {
    match (same, foreign) {
        (Some((_, other)), _) => State::Shadowed(owners.name(&other.owner)),
        (None, Some((_, other))) => State::Contested(holder(other, owners)),
        (None, None) => State::Active,
    }
}

fn holder(row: &Row, owners: &Owners<'_>) -> String {
    format!("{} in {}", owners.name(&row.owner), row.backend)
}

/// Why an owner is not one any more.
pub fn gone(owner: &Attachment, index: &Index<'_>) -> Option<&'static str> {
    // The owner of an unreadable file is not known.
    if !index.cache.exists || !index.cache.faults.is_empty() {
        return None;
    }
    let mut entries = index.find(owner);
    if entries.is_empty() {
        return Some("not in the runtime's cache");
    }
    entries.retain(|entry| {
        let opened = netns_of(entry).map(Netns::open);
        !matches!(opened, Ok(Err(OpenError::Gone(_))))
    });
    entries.is_empty().then_some("its namespace is gone")
}

#[cfg(test)]
mod tests {
    use common::cache::Cache;
    use portmap::{Forward, HostPort};

    use super::*;

    fn row(container: &str, host_ip: Option<&str>, backend: &'static str) -> Row {
        Row {
            forward: Forward {
                port: HostPort {
                    protocol: Protocol::Tcp,
                    address: host_ip.map(|ip| ip.parse().unwrap()),
                    within: None,
                    number: 8080,
                },
                to: "10.22.0.2:80".parse().unwrap(),
            },
            owner: Attachment {
                network: "n".into(),
                container: container.into(),
                ifname: "eth0".into(),
            },
            entry: None,
            backend,
            counters: None,
            is_conditional: false,
            is_reached: true,
        }
    }

    fn words(forwards: &[Row]) -> Vec<&'static str> {
        let cache = Cache::default();
        let states = of_forwards(forwards, &Owners::of(&cache));
        states.iter().map(State::word).collect()
    }

    #[test]
    fn the_first_of_a_backend_takes_the_port_and_those_of_two_backends_contest_it() {
        let all = [
            row("a", None, "iptables-nft"),
            row("b", None, "iptables-nft"),
            row("c", Some("192.0.2.1"), "iptables-nft"),
            row("d", None, "nftables"),
        ];
        assert_eq!(
            words(&all),
            ["contested", "shadowed", "shadowed", "contested"]
        );
    }

    #[test]
    fn one_address_and_conditions_leave_room_for_others() {
        let mut conditional = row("a", None, "iptables-nft");
        conditional.is_conditional = true;
        let all = [
            conditional,
            row("b", Some("192.0.2.1"), "iptables-nft"),
            row("c", Some("192.0.2.2"), "iptables-nft"),
            row("d", None, "iptables-nft"),
        ];
        assert_eq!(words(&all), ["active"; 4]);
    }

    #[test]
    fn what_no_rule_leads_to_is_stale_and_takes_nothing() {
        let mut orphan = row("a", None, "iptables-nft");
        orphan.is_reached = false;
        assert_eq!(
            words(&[orphan, row("b", None, "iptables-nft")]),
            ["stale", "active"]
        );
    }

    #[test]
    fn what_a_cache_does_not_know_is_stale() {
        let cache = Cache {
            exists: true,
            ..Cache::default()
        };
        let all = [row("a", None, "nftables")];
        let states = of_forwards(&all, &Owners::of(&cache));
        assert_eq!(states, [State::Stale("not in the runtime's cache")]);
    }
}
