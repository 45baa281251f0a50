use std::net::SocketAddr;

use common::Protocol;

use super::*;

/// What is a run here.
const LEAST: usize = 16;

fn texts(ranges: &[Range]) -> Vec<String> {
    ranges.iter().map(Range::to_string).collect()
}

#[test]
fn runs_of_a_list_become_ranges_where_it_has_their_first_port() {
    let up: Vec<u16> = (100..116).collect();
    let down: Vec<u16> = (100..116).rev().collect();
    for (list, expected) in [
        (vec![], vec![]),
        (vec![9, 7, 8, 9], vec!["9", "7", "8", "9"]),
        (up[1..].to_vec(), up[1..].iter().map(|_| "").collect()),
        (up.clone(), vec!["100:115"]),
        (down.clone(), vec!["100:115"]),
        (
            [&[22], &down[..], &[9, 110, 22]].concat(),
            vec!["22", "100:115", "9", "22"],
        ),
        ((65520..=65535).collect(), vec!["65520:65535"]),
    ] {
        let found = texts(&of_list(&list, LEAST));
        match expected.iter().all(|text| text.is_empty()) {
            true => assert_eq!(found.len(), list.len(), "{list:?}"),
            false => assert_eq!(found, expected, "{list:?}"),
        }
    }
    assert_eq!(of_list(&up, usize::MAX).len(), 16);
}

#[test]
fn a_range_counts_twice_in_a_rule() {
    let range = Range { first: 1, last: 99 };
    let lengths =
        |ranges: &[Range]| -> Vec<usize> { for_rules(ranges).iter().map(Vec::len).collect() };
    assert_eq!(lengths(&[]), [0; 0]);
    assert_eq!(lengths(&[Range::one(1); 31]), [15, 15, 1]);
    assert_eq!(lengths(&[range; 8]), [7, 1]);
    assert_eq!(
        lengths(&[&[Range::one(1); 14][..], &[range]].concat()),
        [14, 1]
    );
}

fn forward(address: Option<&str>, number: u16, to: u16) -> Forward {
    Forward {
        port: HostPort {
            protocol: Protocol::Tcp,
            address: address.map(|text| text.parse().unwrap()),
            within: None,
            number,
        },
        to: SocketAddr::new("10.22.0.2".parse().unwrap(), to),
    }
}

fn many(address: Option<&str>, first: u16, count: u16) -> Vec<Forward> {
    (first..first + count)
        .map(|number| forward(address, number, number))
        .collect()
}

/// The runs' first and last ports, with an `@` where they are of one address.
fn shown(runs: &[Vec<Forward>]) -> Vec<String> {
    let one = |run: &Vec<Forward>| {
        let (first, last) = (run.first().unwrap().port, run.last().unwrap().port);
        let range = Range {
            first: first.number,
            last: last.number,
        };
        let at = first.address.map_or("", |_| "@");
        format!("{at}{range}")
    };
    runs.iter().map(one).collect()
}

#[test]
fn forwards_are_in_runs_of_one_address_and_one_protocol() {
    let wide = many(None, 100, 16);
    let single = many(Some("192.0.2.1"), 100, 16);
    let mut udp = wide.clone();
    udp.iter_mut()
        .for_each(|forward| forward.port.protocol = Protocol::Udp);
    let mut gap = many(None, 100, 17);
    gap.remove(8);
    for (forwards, expected) in [
        (wide.clone(), vec!["100:115"]),
        ([wide.clone(), udp].concat(), vec!["100:115", "100:115"]),
        (
            [single.clone(), wide.clone()].concat(),
            vec!["@100:115", "100:115"],
        ),
        // Each before the same port of all.
        (
            single
                .iter()
                .zip(&wide)
                .flat_map(|(a, b)| [*a, *b])
                .collect(),
            vec!["@100:115", "100:115"],
        ),
        (
            [&wide[..8], &single[8..9], &wide[8..]].concat(),
            vec!["@108", "100:115"],
        ),
        (
            [&single[..], &wide[3..5]].concat(),
            vec!["@100:115", "103", "104"],
        ),
        // The first of two mappings of one port counts.
        (
            [&wide[..], &[forward(None, 107, 80)]].concat(),
            vec!["100:115"],
        ),
    ] {
        assert_eq!(shown(&of_forwards(&forwards, LEAST)), expected);
    }
    assert_eq!(of_forwards(&gap, LEAST).len(), 16);
    assert_eq!(of_forwards(&wide, usize::MAX).len(), 16);
    let twice = [&[forward(None, 107, 80)], &wide[..]].concat();
    let runs = of_forwards(&twice, LEAST);
    assert_eq!(runs[0][7].to.port(), 80);
}

#[test]
fn one_rule_translates_the_ports_that_keep_their_number() {
    let lengths = |run: &[Forward]| -> Vec<usize> {
        of_run(run, LEAST).iter().map(|some| some.len()).collect()
    };
    let mut run = many(None, 100, 40);
    assert_eq!(lengths(&run), [40]);
    run[18].to.set_port(80);
    run[19].to.set_port(80);
    assert_eq!(lengths(&run), [18, 1, 1, 20]);
    run[10].to.set_port(80);
    assert_eq!(lengths(&run)[..20], [1; 20]);
}
