//! Who gets the packets to a port, whoever was first.

use super::*;

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
