//! Attachments with conditions beside others.

use super::*;

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
