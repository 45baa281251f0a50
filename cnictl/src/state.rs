//! The state of what the plugins made: active, without an owner, hidden behind another one, or missing.

use std::collections::HashMap;

use common::cache::Index;
use common::sys::netns::{Netns, OpenError};
use common::{Attachment, Family, Protocol};
use portmap::list::at::At;
use portmap::list::row::Row;

use crate::finding::some;
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
    /// The same on some of its addresses: those, too.
    PartlyShadowed(String, At),
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
            State::Shadowed(_) | State::PartlyShadowed(..) => "shadowed",
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
            State::PartlyShadowed(by, at) => format!("behind {by} on {}", some(&at.words())),
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

    /// Whether packets to the port may get to who has it.
    pub fn may_serve(&self) -> bool {
        match self {
            State::Active | State::Contested(_) | State::PartlyShadowed(..) | State::Taken(_) => {
                true
            }
            State::Stale(_) | State::Shadowed(_) | State::Missing(_) => false,
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
        let place_of_foreign = foreign.as_ref().map(|foreign| foreign.place);
        states.push(stale.unwrap_or_else(|| behind(same, foreign, owners)));
        let rival = place_of_foreign.and_then(|place| states.get_mut(place));
        if let Some(rival @ State::Active) = rival {
            *rival = State::Contested(holder(row, owners));
        }
        if row.is_reached && !row.is_conditional {
            before.push(place);
        }
    }
    states
}

/// An earlier one that takes a port's packets.
struct Rival<'a> {
    place: usize,
    row: &'a Row,
    /// The addresses on which it does, where it leaves others.
    on: Option<At>,
}

/// The earlier ones that take a port's packets, in its own backend and in another one.
fn rivals<'a>(
    all: &'a [Row],
    row: &Row,
    before: &[usize],
) -> (Option<Rival<'a>>, Option<Rival<'a>>) {
    let earlier = before
        .iter()
        .filter_map(|place| Some((*place, all.get(*place)?)));
    let others = earlier.filter(|(_, other)| other.owner != row.owner);
    let (same, foreign): (Vec<_>, Vec<_>) =
        others.partition(|(_, other)| other.backend == row.backend);
    (rival(row, &same), rival(row, &foreign))
}

/// The first of the earlier ones where they have all of a port's addresses. Some of them are enough between
/// limits that meet: a port on fewer addresses comes before that on more by design.
fn rival<'a>(row: &Row, earlier: &[(usize, &'a Row)]) -> Option<Rival<'a>> {
    let all = row.at();
    let mut left = all.clone();
    let (mut first, mut partly) = (None, None);
    for (place, row) in earlier.iter().copied() {
        let rival = |on| Some(Rival { place, row, on });
        let Some(theirs) = row.at() else {
            return rival(None);
        };
        let (Some(all), Some(rest)) = (&all, &left) else {
            continue;
        };
        let on = rest.common(&theirs);
        if !all.is_empty() && all.without(&theirs).is_empty() {
            return rival(None);
        }
        if !on.is_empty() {
            left = Some(rest.without(&theirs));
            first = first.or_else(|| rival(None));
            partly = partly.or_else(|| rival(Some(on)).filter(|_| row.limits.is_some()));
        }
    }
    match left.is_some_and(|left| left.is_empty()) {
        true => first,
        false => partly,
    }
}

fn behind(same: Option<Rival<'_>>, foreign: Option<Rival<'_>>, owners: &Owners<'_>) -> State {
    match (same, foreign) {
        (Some(Rival { row, on: None, .. }), _) => State::Shadowed(owners.name(&row.owner)),
        (_, Some(Rival { row, .. })) => State::Contested(holder(row, owners)),
        (
            Some(Rival {
                row, on: Some(on), ..
            }),
            None,
        ) => State::PartlyShadowed(owners.name(&row.owner), on),
        (None, None) => State::Active,
    }
}

fn holder(row: &Row, owners: &Owners<'_>) -> String {
    format!("{} in {}", owners.name(&row.owner), row.backend)
}

/// Why an owner is not one any longer.
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
    use common::result::Prefix;
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
            limits: None,
            is_conditional: false,
            is_reached: true,
        }
    }

    fn at(prefixes: &str) -> At {
        let prefixes = prefixes.split_whitespace();
        let prefixes = prefixes.map(|text| Prefix::from_text(text).unwrap());
        At::of(&prefixes.collect::<Vec<_>>())
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
    fn limits_that_meet_are_served_by_the_first() {
        let limited = |container: &str, prefixes: &str| Row {
            limits: Some(at(prefixes)),
            ..row(container, None, "nftables")
        };
        let details = |forwards: &[Row]| {
            let cache = Cache::default();
            let states = of_forwards(forwards, &Owners::of(&cache));
            let told = states
                .iter()
                .map(|s| format!("{} {}", s.word(), s.details()));
            told.collect::<Vec<_>>()
        };
        let first = limited("a", "192.0.2.0/25 10.0.0.0/8");
        for (second, expected) in [
            (limited("b", "192.0.2.128/25"), "active "),
            (
                limited("b", "10.0.0.1/32 10.0.0.2/32"),
                "shadowed behind n/a/eth0",
            ),
            (
                limited("b", "192.0.2.0/24"),
                "shadowed behind n/a/eth0 on 192.0.2.0/25",
            ),
            (
                row("b", Some("10.0.0.1"), "nftables"),
                "shadowed behind n/a/eth0",
            ),
            (row("b", Some("11.0.0.1"), "nftables"), "active "),
            (row("b", None, "nftables"), "active "),
            // Its own other entry takes nothing from it.
            (limited("a", "192.0.2.0/24"), "active "),
        ] {
            assert_eq!(details(&[first.clone(), second])[1], expected);
        }
        let single = row("a", Some("10.0.0.1"), "nftables");
        let (both, one) = (limited("c", "10.0.0.0/31"), limited("d", "10.0.0.1/32"));
        let other = row("b", Some("10.0.0.0"), "nftables");
        let all = details(&[single.clone(), both.clone(), one]);
        assert_eq!(all[1..], ["active ", "shadowed behind n/a/eth0"]);
        let all = details(&[single, other, both]);
        assert_eq!(all[2], "shadowed behind n/a/eth0");
    }

    #[test]
    fn limits_that_do_not_meet_are_not_contested_by_another_backend() {
        let limited = |container: &str, prefixes: &str, backend| Row {
            limits: Some(at(prefixes)),
            ..row(container, None, backend)
        };
        let first = limited("a", "192.0.2.0/25", "iptables-nft");
        for (prefixes, expected) in [
            ("192.0.2.128/25", ["active"; 2]),
            ("192.0.2.0/24", ["contested"; 2]),
        ] {
            let second = limited("b", prefixes, "nftables");
            assert_eq!(words(&[first.clone(), second]), expected);
        }
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
