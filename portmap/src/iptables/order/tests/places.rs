//! Where jumps go, and which rules are written for others.

use super::*;

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
