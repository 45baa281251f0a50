//! What CHECK says of the order.

use super::*;

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
