use nft::expr::Expr;

use super::super::layout::GUARD;
use super::*;

const NEED: Need = Need {
    family: Family::V4,
    guard: true,
    hairpin: Some(16),
    parts: Parts::of(None),
};

/// What is there once the commands for an empty ruleset have been done.
fn complete(need: Need) -> Seen {
    let hairpins: Vec<SetId> = need
        .parts
        .lookups()
        .filter_map(|by| {
            Some(SetId {
                purpose: Purpose::Hairpin(need.hairpin?),
                by,
            })
        })
        .collect();
    let ids = layout::fixed_sets(need.family, need.parts)
        .into_iter()
        .chain(hairpins);
    let sets: Vec<Set> = ids.map(|id| id.set(need.family)).collect();
    let chains = layout::chains(need.family, need.guard, need.parts)
        .into_iter()
        .map(|(chain, fixed)| {
            let rules = all_rules(need, &sets, &chain.name, &fixed);
            (chain, rules.into_iter().map(|(_, rule, _)| rule).collect())
        })
        .collect();
    Seen {
        table: Some(Table {
            flags: 0,
            comment: Some(COMMENT.to_owned()),
        }),
        chains,
        scopes: Vec::new(),
        sets,
    }
}

fn drifts(seen: &Seen) -> Vec<String> {
    let diff = diff(NEED, seen);
    assert_eq!(diff.drifts.is_empty(), diff.commands.is_empty());
    diff.drifts.iter().map(ToString::to_string).collect()
}

fn rules<'a>(seen: &'a mut Seen, name: &str) -> &'a mut Vec<Rule> {
    let chain = seen.chains.iter_mut().find(|(c, _)| c.name == name);
    &mut chain.unwrap().1
}

#[test]
fn nothing_is_written_where_everything_is_there() {
    assert_eq!(diff(NEED, &complete(NEED)), Diff::default());
}

#[test]
fn everything_is_written_where_nothing_is_there() {
    let nothing = Seen {
        scopes: Vec::new(),
        table: None,
        chains: vec![],
        sets: vec![],
    };
    let diff = diff(NEED, &nothing);
    assert_eq!(diff.obstacle, None);
    let deletes = |command: &Command| command.to_string().contains("delete");
    assert!(!diff.commands.iter().any(deletes));
    let last_chain = diff
        .commands
        .iter()
        .rposition(|c| matches!(c.action, Action::AddChain(_) | Action::AddSet { .. }));
    let first_rule = diff
        .commands
        .iter()
        .position(|c| matches!(c.action, Action::AddRule { .. }));
    assert!(last_chain < first_rule);
}

#[test]
fn another_network_s_rule_is_no_drift_and_a_new_network_adds_its_own_in_front() {
    let other = Need {
        hairpin: Some(24),
        ..NEED
    };
    let diff = diff(other, &complete(NEED));
    let written: Vec<String> = diff.commands.iter().map(ToString::to_string).collect();
    assert_eq!(written.len(), 4, "{written:?}");
    let in_front = |c: &&Command| matches!(c.action, Action::AddRule { first: true, .. });
    assert_eq!(diff.commands.iter().filter(in_front).count(), 2);
    assert!(
        super::diff(
            Need {
                hairpin: None,
                ..NEED
            },
            &complete(NEED)
        )
        .commands
        .is_empty()
    );
}

#[test]
fn rules_that_are_missing_changed_foreign_or_in_another_order_are_drifts() {
    for name in ["by_port", "by_address", "hostports", "prerouting", GUARD] {
        let mut seen = complete(NEED);
        rules(&mut seen, name).clear();
        assert_eq!(drifts(&seen).len(), 1, "{name} flushed");
        let mut seen = complete(NEED);
        rules(&mut seen, name).insert(0, Rule::new(vec![Expr::Drop]));
        assert_eq!(drifts(&seen).len(), 1, "{name} with a rule before ours");
        let mut seen = complete(NEED);
        rules(&mut seen, name).push(Rule::new(vec![Expr::Drop]));
        assert_eq!(drifts(&seen).len(), 1, "{name} with a rule after ours");
    }
    let mut seen = complete(NEED);
    rules(&mut seen, "by_port").reverse();
    assert_eq!(drifts(&seen).len(), 1);
}

#[test]
fn a_chain_with_another_hook_priority_or_policy_is_made_anew() {
    for change in 0..4 {
        let mut seen = complete(NEED);
        let (chain, _) = seen
            .chains
            .iter_mut()
            .find(|(chain, _)| chain.name == "output")
            .unwrap();
        let base = chain.base.as_mut().unwrap();
        match change {
            0 => base.hook = 1,
            1 => base.priority = 0,
            2 => base.policy = 0,
            _ => base.kind = "filter".into(),
        }
        let found = drifts(&seen);
        assert!(found[0].starts_with("chain output"), "{found:?}");
    }
}

#[test]
fn a_dormant_table_is_woken() {
    let mut seen = complete(NEED);
    seen.table.as_mut().unwrap().flags = 1;
    assert_eq!(
        drifts(&seen),
        ["table ip cni_portmap: expected active, found dormant"]
    );
}

#[test]
fn a_stranger_s_table_is_an_obstacle_and_one_that_lost_its_comment_is_not() {
    let mut seen = complete(NEED);
    seen.table.as_mut().unwrap().comment = None;
    assert_eq!(diff(NEED, &seen).obstacle, None);
    seen.sets.clear();
    assert!(diff(NEED, &seen).obstacle.is_some());
    let mut seen = complete(NEED);
    seen.sets[0].key_len = 4;
    assert!(diff(NEED, &seen).obstacle.is_some());
}
