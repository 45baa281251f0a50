use common::Protocol;

use super::super::queue::{of_elements, to_elements};
use super::*;
use crate::limits::Scope;

const A: &str = "n/a/eth0";

fn port(number: u16) -> HostPort {
    HostPort {
        protocol: Protocol::Tcp,
        address: None,
        within: None,
        number,
    }
}

fn claim(owner: &str, to: u16) -> Claim {
    Claim {
        owner: owner.into(),
        to: SocketAddr::new("10.22.0.2".parse().unwrap(), to),
        marks: Marks::of([Purpose::Hairpin(16), Purpose::Localhost]),
    }
}

/// Claims of one owner on ports that keep their number.
fn run(owner: &str, ports: std::ops::Range<u16>) -> Queues {
    ports
        .map(|number| (port(number), vec![claim(owner, number)]))
        .collect()
}

/// The same claims on one address and within limits.
fn elsewhere(queues: &Queues) -> [Queues; 2] {
    let address = Some("192.0.2.1".parse().unwrap());
    let within = Some(Scope(7));
    [(address, None), (None, within)].map(|(address, within)| {
        let moved = |port: HostPort| HostPort {
            address,
            within,
            ..port
        };
        let all = queues.iter();
        all.map(|(port, claims)| (moved(*port), claims.clone()))
            .collect()
    })
}

fn written(queues: &Queues, found: &Elements) -> Elements {
    to_elements(queues, found, |_| true)
}

/// The ranges and the single ports in the maps.
fn shown(elements: &Elements) -> Vec<String> {
    let map = elements
        .iter()
        .filter(|((id, _), _)| id.purpose == Purpose::Dnat);
    map.map(|((id, key), element)| match Range::of(*id, element) {
        Some(range) => range.to_string(),
        None => host_port_of(*id, key).unwrap().to_string(),
    })
    .collect()
}

#[test]
fn a_run_is_one_element_in_each_set_and_its_claims_are_read_back() {
    for count in [20, 1000, 65_515] {
        let queues = run(A, 20..20 + count);
        let elements = written(&queues, &Elements::new());
        assert_eq!(elements.len(), 3);
        let range = format!("20-{}/tcp", 19 + count);
        assert_eq!(shown(&elements), [range]);
        assert_eq!(of_elements(&elements), queues);
    }
}

#[test]
fn a_run_of_one_address_and_one_within_limits_are_ranges_beside_that_of_all() {
    let all = run(A, 100..140);
    let [on_one, within] = elsewhere(&all);
    for (queues, expected) in [(&on_one, "192.0.2.1:100-139/tcp"), (&within, "100-139/tcp")] {
        let elements = written(queues, &Elements::new());
        assert_eq!(
            (elements.len(), shown(&elements)),
            (3, vec![expected.to_owned()])
        );
        assert_eq!(of_elements(&elements), *queues);
        // Single ports of another kind change nothing.
        let singles = written(&run(A, 110..111), &Elements::new());
        let found = elements.iter().chain(&singles);
        let found: Elements = found.map(|(at, one)| (at.clone(), one.clone())).collect();
        let both = of_elements(&found);
        assert_eq!(both.len(), 41);
        assert_eq!(written(&both, &found), found);
    }
    let mut queues = all;
    queues.extend([on_one, within].into_iter().flatten());
    let elements = written(&queues, &Elements::new());
    assert_eq!(elements.len(), 9);
    assert_eq!(of_elements(&elements), queues);
}

#[test]
fn what_is_no_run_is_written_port_by_port() {
    let mut moved = run(A, 100..140);
    moved
        .values_mut()
        .flatten()
        .for_each(|claim| *claim = self::claim(A, 80));
    let mut mixed = run(A, 100..115);
    mixed.extend(run("n/b/eth0", 115..130));
    for queues in [run(A, 100..119), moved, mixed] {
        let elements = written(&queues, &Elements::new());
        assert_eq!(shown(&elements).len(), queues.len());
        assert_eq!(of_elements(&elements), queues);
    }
}

#[test]
fn every_order_of_claims_on_a_port_of_a_range_is_read_back() {
    let all = run(A, 100..140);
    let found = written(&all, &Elements::new());
    let (b, c) = ("n/b/eth0", "n/c/eth0");
    for order in [
        &[A][..],
        &[A, b],
        &[b, A],
        &[A, b, c],
        &[b, A, c],
        &[b, c, A],
    ] {
        let mut queues = all.clone();
        let claims = order.iter().map(|owner| claim(owner, 110)).collect();
        queues.insert(port(110), claims);
        let elements = written(&queues, &found);
        assert_eq!(of_elements(&elements), queues, "{order:?}");
        assert!(shown(&elements).contains(&"100-139/tcp".to_owned()));
        // Only between others is the range's owner named once more.
        let is_single = elements
            .iter()
            .any(|((id, _), one)| !id.by.is_range && one.comment.as_deref() == Some(A));
        assert_eq!(is_single, order == [b, A, c], "{order:?}");
        // The next look changes nothing.
        assert_eq!(written(&queues, &elements), elements, "{order:?}");
    }
}

#[test]
fn single_ports_that_are_there_stay_single_and_a_range_stays_while_it_is_claimed() {
    let singles: Elements = (100..140)
        .flat_map(|number| written(&run(A, number..number + 1), &Elements::new()))
        .collect();
    assert_eq!(written(&run(A, 100..140), &singles), singles);
    let found = written(&run(A, 100..140), &Elements::new());
    for (ports, expected) in [
        (100..160, vec!["100-139/tcp", "140-159/tcp"]),
        (100..141, vec!["140/tcp", "100-139/tcp"]),
        (100..130, vec!["100-129/tcp"]),
        (110..140, vec!["110-139/tcp"]),
    ] {
        let elements = written(&run(A, ports), &found);
        assert_eq!(shown(&elements), expected);
    }
    // A range of another is in the way of one that meets it.
    let queues = of_elements(&found);
    let mut queues: Queues = queues
        .into_iter()
        .chain(run("n/b/eth0", 140..170))
        .collect();
    for number in 130..140 {
        let claims = queues.get_mut(&port(number)).unwrap();
        claims.push(claim("n/b/eth0", number));
    }
    let elements = written(&queues, &found);
    assert_eq!(of_elements(&elements), queues);
    let ranges = shown(&elements);
    assert!(
        ranges.contains(&"100-139/tcp".to_owned()) && ranges.contains(&"140-169/tcp".to_owned())
    );
    assert_eq!(ranges.len(), 12);
}

#[test]
fn ranges_of_other_claims_in_one_run_are_apart() {
    let mut queues = run(A, 100..120);
    queues.extend(run("n/b/eth0", 120..140));
    let elements = written(&queues, &Elements::new());
    assert_eq!(shown(&elements), ["100-119/tcp", "120-139/tcp"]);
    assert_eq!(of_elements(&elements), queues);
}
