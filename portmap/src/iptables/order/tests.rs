use common::result::Prefix;
use common::{Attachment, Family, Protocol};
use xtables::Table;

use super::*;
use crate::config::Evidence;
use crate::host_port::Forward;
use crate::iptables::excerpt::Excerpts;
use crate::iptables::many::apply;
use crate::iptables::shadow::Forwards;
use crate::iptables::translation::translations;
use crate::iptables::{drift, rules, shadowed, write};
use crate::limits::{Allowed, Scope};
use crate::options::{Mark, Masquerade};
use crate::plan;

/// An attachment of a container on a network: `8080` and `1:8080` are ports of all addresses and of one.
fn of(network: &str, container: &str, ports: &[&str]) -> Wanted {
    limited(network, container, ports, &[])
}

/// The same, limited to some addresses.
fn limited(network: &str, container: &str, ports: &[&str], only: &[&str]) -> Wanted {
    made((network, container, "eth0"), ports, only, &[])
}

/// The same with a condition.
fn conditional(container: &str, ports: &[&str], condition: [&str; 2]) -> Wanted {
    made(
        ("n", container, "eth0/0123456789ab"),
        ports,
        &[],
        &condition,
    )
}

fn made(
    (network, container, ifname): (&str, &str, &str),
    ports: &[&str],
    only: &[&str],
    conditions: &[&str],
) -> Wanted {
    let forward = |text: &&str| {
        let (address, port) = match text.split_once(':') {
            Some((last, port)) => (Some(format!("192.0.2.{last}").parse().unwrap()), port),
            None => (None, *text),
        };
        let port = HostPort {
            protocol: Protocol::Tcp,
            address,
            within: None,
            number: port.parse().unwrap(),
        };
        let to = "10.22.0.2:80".parse().unwrap();
        Forward { port, to }
    };
    let ports: Vec<Forward> = ports.iter().map(forward).collect();
    let forwards = plan::Forwards {
        family: Family::V4,
        container: Prefix::from_text("10.22.0.2/16").unwrap(),
        conditions: conditions.iter().map(|word| (*word).to_owned()).collect(),
        only: (!only.is_empty()).then(|| Allowed {
            scope: Scope(1),
            interfaces: String::new(),
            prefixes: only
                .iter()
                .filter_map(|one| Prefix::from_text(one))
                .collect(),
        }),
        listed: ports
            .iter()
            .map(|forward| (forward.port.protocol, forward.port.number))
            .collect(),
        ports,
    };
    let attachment = Attachment {
        network: network.into(),
        container: container.into(),
        ifname: ifname.into(),
    };
    rules::wanted(&attachment, Masquerade::Nothing, &Mark::Bit(13), &forwards)
}

fn add(state: &mut State, wanted: &Wanted) {
    let transaction = write::repair(state, wanted, &Evidence::default());
    apply(state, &transaction);
    let mut wanted = wanted.clone();
    wanted.conditions_stand = true;
    let again = write::repair(state, &wanted, &Evidence::default());
    let rules = state.rules(DNAT);
    assert!(
        again.commands(Table::Nat).is_empty(),
        "{again:?} {rules:#?}"
    );
}

/// Who gets the packets to a port of an address, by what the rules test.
fn served(state: &State, address: &str, port: u16) -> Option<String> {
    served_to(state, address, port, true)
}

/// The same of packets that fulfil all conditions, or none but those on their destination.
fn served_to(state: &State, address: &str, port: u16, is_met: bool) -> Option<String> {
    let address: std::net::IpAddr = format!("192.0.2.{address}").parse().unwrap();
    let mut jumps = state.rules(DNAT).iter();
    jumps.find_map(|rule| {
        let (jump, meaning) = owner::jump(rule)?;
        let reach = Reach::of(&meaning);
        (is_met || !reach.is_conditional).then_some(())?;
        let made = Forwards::of(&translations(state.chain(&jump.chain)?));
        let takes = |to: &Behind| to.port.number == port && to.at.is_none_or(|at| at.has(address));
        made.behind(&reach).iter().any(takes).then_some(())?;
        let (_, id) = jump.comment.split_once("id: \"")?;
        Some(id.trim_end_matches('"').to_owned())
    })
}

#[test]
fn packets_go_to_one_address_before_all_and_to_the_newest_of_equals() {
    let a_port = [of("n", "one", &["1:80"]), of("n", "two", &["80"])];
    let mixed = [
        of("n", "one", &["1:80", "90", "100"]),
        of("n", "two", &["80", "1:90", "2:100"]),
        of("n", "three", &["80", "90", "1:100"]),
    ];
    let both = [
        of("n", "one", &["1:80", "80"]),
        of("n", "two", &["2:80", "80"]),
    ];
    let orders: [&[usize]; 6] = [
        &[0, 1, 2],
        &[0, 2, 1],
        &[1, 0, 2],
        &[1, 2, 0],
        &[2, 0, 1],
        &[2, 1, 0],
    ];
    for all in [&a_port[..], &mixed, &both] {
        for order in orders {
            let order: Vec<usize> = order.iter().copied().filter(|n| *n < all.len()).collect();
            let mut state = State::default();
            for wanted in order.iter().filter_map(|n| all.get(*n)) {
                add(&mut state, wanted);
            }
            for (address, port) in [
                ("1", 80),
                ("2", 80),
                ("3", 80),
                ("1", 90),
                ("2", 90),
                ("1", 100),
                ("2", 100),
            ] {
                let has = |wanted: &Wanted, by: Option<&str>| {
                    wanted.ports.iter().any(|forward| {
                        let on = forward.port.address.map(|ip| ip.to_string());
                        let asked = by.map(|by| format!("192.0.2.{by}"));
                        forward.port.number == port && on == asked
                    })
                };
                let newest = |by| order.iter().rev().find(|n| has(&all[**n], by));
                let expected = newest(Some(address)).or(newest(None));
                let expected = expected.map(|n| all[*n].attachment.container.clone());
                let got = served(&state, address, port);
                assert_eq!(
                    got,
                    expected,
                    "{address}:{port} {order:?} {:#?}",
                    state.rules(DNAT)
                );
            }
        }
    }
}

/// How a port of an attachment comes before others at an address; `None` where it is not there.
fn rank(wanted: &Wanted, address: std::net::IpAddr, number: u16) -> Option<u8> {
    let of = |forward: &Forward| match forward.port.address {
        _ if forward.port.number != number => None,
        Some(own) => (own == address).then_some(2),
        None if wanted.only.is_empty() => Some(0),
        None => wanted.only.iter().any(|at| at.has(address)).then_some(1),
    };
    wanted.ports.iter().filter_map(of).max()
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let with = |order: Vec<usize>| {
        (0..=order.len()).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    orders(last).into_iter().flat_map(with).collect()
}

#[test]
fn packets_go_to_one_address_before_some_and_to_some_before_all_whoever_was_first() {
    let low = ["192.0.2.0/25"];
    let first = ["192.0.2.1/32"];
    let two = ["192.0.2.1/32", "192.0.2.128/25"];
    for all in [
        vec![
            of("n", "one", &["1:80"]),
            limited("l", "two", &["80"], &first),
        ],
        vec![
            of("n", "one", &["1:80", "90"]),
            limited("l", "two", &["80", "90"], &low),
            of("n", "three", &["80", "90"]),
        ],
        vec![
            of("n", "one", &["1:80", "80"]),
            limited("l", "two", &["80"], &low),
            of("n", "three", &["80", "2:80"]),
        ],
        vec![
            of("n", "one", &["1:80"]),
            limited("l", "two", &["80"], &low),
            limited("m", "three", &["80"], &two),
        ],
        vec![
            limited("l", "one", &["1:80", "90"], &first),
            limited("l", "two", &["80", "2:90"], &low),
            of("n", "three", &["1:80", "90"]),
            of("n", "four", &["80", "1:90"]),
        ],
    ] {
        for order in orders(all.len()) {
            let mut state = State::default();
            order.iter().for_each(|n| add(&mut state, &all[*n]));
            for (address, port) in ["1", "2", "200"]
                .into_iter()
                .flat_map(|a| [(a, 80), (a, 90)])
            {
                let to = format!("192.0.2.{address}").parse().unwrap();
                let ranks = order
                    .iter()
                    .filter_map(|n| Some((rank(&all[*n], to, port)?, *n)));
                // Of equals, the newest.
                let best = ranks.max_by_key(|(rank, _)| *rank);
                let expected = best.map(|(_, n)| all[n].attachment.container.clone());
                let got = served(&state, address, port);
                let rules = state.rules(DNAT);
                assert_eq!(got, expected, "{address}:{port} {order:?} {rules:#?}");
            }
            for wanted in &all {
                let chain = wanted.shared_name();
                let drifts = drift::jump_drift(&state, wanted, &chain);
                assert!(drifts.is_empty(), "{order:?} {drifts:#?}");
            }
        }
    }
}

#[test]
fn what_a_newer_one_of_other_limits_takes_is_a_drift_and_what_it_does_not_is_none() {
    let older = limited("l", "one", &["80"], &["192.0.2.0/25"]);
    let chain = older.shared_name();
    for (only, is_taken) in [
        (&["192.0.2.1/32"][..], true),
        (&["192.0.2.0/24"], true),
        (&["192.0.2.128/25", "192.0.2.64/26"], true),
        (&["192.0.2.128/25"], false),
    ] {
        let mut state = State::default();
        add(&mut state, &older);
        let newer = limited("m", "two", &["80"], only);
        add(&mut state, &newer);
        let lost = shadowed::drifts(&state, &older, &chain);
        assert_eq!(lost.len(), usize::from(is_taken), "{only:?} {lost:#?}");
        assert!(shadowed::drifts(&state, &newer, &newer.shared_name()).is_empty());
    }
}

#[test]
fn a_container_s_second_network_goes_behind_its_first_on_every_prefix() {
    let only = ["192.0.2.0/26", "192.0.2.128/26"];
    let first = limited("front", "web", &["80"], &only);
    let second = limited("back", "web", &["80"], &only);
    let mut state = State::default();
    add(&mut state, &first);
    add(&mut state, &second);
    let chains = state
        .rules(DNAT)
        .iter()
        .map(|rule| owner::jump(rule).unwrap().0.chain);
    let [one, two] = [first, second].map(|wanted| wanted.shared_name());
    assert_eq!(
        chains.collect::<Vec<_>>(),
        [&one, &one, &two, &two].map(Clone::clone)
    );
}

#[test]
fn a_container_s_second_network_goes_behind_its_first() {
    let first = of("front", "web", &["80", "1:90"]);
    let second = of("back", "web", &["80", "1:90"]);
    let other = of("n", "other", &["80", "1:90"]);
    let chains = |state: &State| -> Vec<String> {
        let chain = |rule: &String| owner::jump(rule).unwrap().0.chain;
        let mut chains: Vec<String> = state.rules(DNAT).iter().map(chain).collect();
        chains.dedup();
        chains
    };
    let [one, two, three] = [&first, &second, &other].map(Wanted::shared_name);
    let mut state = State::default();
    add(&mut state, &first);
    add(&mut state, &second);
    assert_eq!(chains(&state), [&one, &two].map(Clone::clone));
    assert!(shadowed::drifts(&state, &second, &two).is_empty());
    add(&mut state, &other);
    assert_eq!(chains(&state)[0], three);
    assert!(!shadowed::drifts(&state, &second, &two).is_empty());
    add(&mut state, &second);
    assert_eq!(chains(&state)[0], two);
}

#[test]
fn a_rule_for_others_is_made_only_where_no_place_is_right() {
    let rules = |all: &[Wanted]| {
        let mut state = State::default();
        all.iter().for_each(|wanted| add(&mut state, wanted));
        for wanted in all {
            let drifts = drift::jump_drift(&state, wanted, &wanted.shared_name());
            assert!(drifts.is_empty(), "{drifts:?}");
        }
        state.rules(DNAT).to_vec()
    };
    let [one, two, three] = [
        of("n", "one", &["80"]),
        of("n", "two", &["1:90"]),
        of("n", "three", &["80", "90"]),
    ];
    assert_eq!(rules(&[two.clone(), three.clone()]).len(), 2);
    let four = rules(&[two, one, three]);
    assert_eq!(four.len(), 4);
    assert!(four[0].starts_with("-d 192.0.2.1/32 -p tcp ") && four[0].contains("\\\"two\\\""));
}

/// Attachments come and go: whom they leave behind has as many rules as before.
#[test]
fn who_comes_and_goes_leaves_no_rules_for_others() {
    let first = ["192.0.2.1/32"];
    let older = limited("l", "older", &["80"], &first);
    for others in [vec![], vec![of("n", "other", &["80"])]] {
        let mut state = State::default();
        others.iter().for_each(|other| add(&mut state, other));
        add(&mut state, &older);
        let before = state.rules(DNAT).to_vec();
        let newer = of("n", "newer", &["1:80", "80"]);
        add(&mut state, &newer);
        assert_eq!(served(&state, "1", 80).as_deref(), Some("newer"));
        let mut gone = xtables::transaction::Transaction::default();
        write::remove(&mut gone, &state, Table::Nat, &newer.shared_name());
        apply(&mut state, &gone);
        assert_eq!(state.rules(DNAT), before);
    }
}

/// Whatever an attachment has and over whom it comes. That another's single address comes before its limits is not a
/// drift.
#[test]
fn a_fresh_check_passes_over_every_other() {
    let low = "192.0.2.0/25";
    let first = "192.0.2.1/32";
    let shapes: [(&[&str], &[&str]); 9] = [
        (&["80"], &[]),
        (&["1:80"], &[]),
        (&["1:80", "80"], &[]),
        (&["1:80", "80"], &[first]),
        (&["1:80", "80"], &[low]),
        (&["80"], &[low]),
        (&["80"], &[first, "192.0.2.128/25"]),
        (&["1:80", "2:80", "80"], &[low]),
        (&["2:80", "80"], &[]),
    ];
    let of = |name, place: usize| limited("n", name, shapes[place].0, shapes[place].1);
    let all = || 0..shapes.len();
    for one in all() {
        for (two, three) in all().flat_map(|two| all().map(move |three| (two, three))) {
            let mut state = State::default();
            for wanted in [of("one", one), of("two", two), of("three", three)] {
                add(&mut state, &wanted);
                let chain = wanted.shared_name();
                let mut drifts = shadowed::drifts(&state, &wanted, &chain);
                drifts.extend(drift::jump_drift(&state, &wanted, &chain));
                let rules = state.rules(DNAT);
                assert!(
                    drifts.is_empty(),
                    "{one} {two} {three} {drifts:#?} {rules:#?}"
                );
            }
        }
    }
}

/// The newest that a packet fulfils the conditions of, then whoever has the port without: as in nf_tables.
#[test]
fn conditions_come_first_and_never_open_what_they_close() {
    let source = ["-s", "10.0.0.0/8"];
    let destination = ["-d", "192.0.2.1"];
    let plain = [&["80", "81"][..], &["81"], &["1:80", "81"], &["1:80"]];
    let chosen = [&["80"][..], &["1:80"], &["80", "81"]];
    let count = plain.len() + 2 * chosen.len();
    let of = |name: &str, place: usize| match place.checked_sub(plain.len()) {
        None => of("n", name, plain[place]),
        Some(place) => {
            let conditions = [source, destination][place % 2];
            conditional(name, chosen[place / 2], conditions)
        }
    };
    for shapes in 0..count * count * count {
        let places = [shapes, shapes / count, shapes / count / count].map(|n| n % count);
        let names = ["one", "two", "three"];
        let all: Vec<Wanted> = names.iter().zip(places).map(|(n, p)| of(n, p)).collect();
        let mut state = State::default();
        for wanted in &all {
            add(&mut state, wanted);
            let chain = wanted.shared_name();
            let mut drifts = shadowed::drifts(&state, wanted, &chain);
            drifts.extend(drift::jump_drift(&state, wanted, &chain));
            let rules = state.rules(DNAT);
            assert!(drifts.is_empty(), "{places:?} {drifts:#?} {rules:#?}");
        }
        for (address, port, is_met) in [
            ("1", 80, true),
            ("1", 80, false),
            ("2", 80, false),
            ("1", 81, true),
            ("1", 81, false),
            ("2", 81, false),
        ] {
            let takes = |(wanted, place): &(&Wanted, usize), rank: usize| {
                let is_destination = *place >= plain.len() && (place - plain.len()) % 2 == 1;
                let fulfils = !wanted.conditional
                    || if is_destination {
                        address == "1"
                    } else {
                        is_met
                    };
                let its = wanted.ports.iter().filter(|one| one.port.number == port);
                let mut on = its.map(|one| one.port.address.map(|ip| ip.to_string()));
                fulfils
                    && on.any(|on| {
                        let is_there = on.as_ref().is_none_or(|on| on.ends_with(address));
                        let its = match (wanted.conditional, on) {
                            (true, _) => 0,
                            (false, Some(_)) => 1,
                            (false, None) => 2,
                        };
                        is_there && its == rank
                    })
            };
            let newest = |rank| all.iter().zip(places).rev().find(|one| takes(one, rank));
            let expected = (0..3).find_map(newest);
            let expected = expected.map(|(one, _)| one.attachment.container.clone());
            let got = served_to(&state, address, port, is_met);
            let rules = state.rules(DNAT);
            assert_eq!(
                got, expected,
                "{places:?} {address}:{port} {is_met} {rules:#?}"
            );
        }
    }
}

#[test]
fn a_port_of_one_address_behind_the_same_port_of_all_is_a_drift() {
    let mut state = State::default();
    let (one, all) = (of("n", "one", &["1:80"]), of("n", "all", &["80"]));
    for wanted in [&all, &one] {
        add(&mut state, wanted);
    }
    let drifts = |state: &State| shadowed::drifts(state, &one, &one.shared_name());
    assert_eq!(drifts(&state), []);
    let rules = state.table_mut(Table::Nat).get_mut(DNAT).unwrap();
    rules.reverse();
    assert_ne!(drifts(&state), []);
}

#[test]
fn an_excerpt_shows_all_that_matters_to_an_attachment_and_leaves_out_the_rest() {
    let low = ["192.0.2.0/25"];
    let run: Vec<String> = (100..130).map(|port: u16| port.to_string()).collect();
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let all = [
        of("n", "one", &["80", "1:90"]),
        of("n", "two", &["81", "82", "83"]),
        limited("l", "three", &["80", "90"], &low),
        of("n", "four", &["90", "2:80"]),
        of("n", "five", &["110"]),
        of("n", "six", &run),
    ];
    let mut whole = State::default();
    all.iter().for_each(|wanted| add(&mut whole, wanted));
    let foreign = [
        "-p tcp -m multiport --dports 70:81 -j RETURN",
        "-p tcp -m tcp --dport 82 -j ACCEPT",
        "-p tcp -m multiport --dports 80 -j CNI-DN-missing",
        "-d 192.0.2.1/32 -j RETURN",
    ];
    let mut states = vec![whole.clone()];
    let count = whole.rules(DNAT).len();
    for (place, rule) in (0..=count).flat_map(|place| foreign.map(|rule| (place, rule))) {
        let mut with = whole.clone();
        let rules = with.table_mut(Table::Nat).get_mut(DNAT).unwrap();
        rules.insert(place, rule.to_owned());
        states.push(with);
    }
    for chain in whole.table(Table::Nat).keys() {
        for place in 0..whole.rules(chain).len() {
            let mut without = whole.clone();
            let rules = without.table_mut(Table::Nat).get_mut(chain).unwrap();
            rules.remove(place);
            states.push(without);
        }
        let mut without = whole.clone();
        without.table_mut(Table::Nat).remove(chain);
        states.push(without);
    }
    for state in states {
        let excerpts = Excerpts::of(&state);
        for wanted in &all {
            let chain = wanted.shared_name();
            let drifts = |state: &State| drift::drifts(state, wanted, &chain);
            let ports = wanted.ports.iter().map(|one| one.port.number);
            let found = excerpts.look(&wanted.attachment, ports, drifts);
            assert_eq!(found, drifts(&state), "{:#?}", state.rules(DNAT));
        }
    }
    let excerpts = Excerpts::of(&whole);
    let jumps = |state: &State| state.rules(DNAT).len();
    let two = excerpts.look(&all[1].attachment, [81, 82, 83].into_iter(), jumps);
    assert!(two > 0 && two < count, "{two} of {count}");
}
