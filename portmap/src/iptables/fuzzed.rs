//! What `iptables-save` prints and what a configuration becomes, for the fuzz targets.

use common::Attachment;
use xtables::meaning::{Meaning, same};
use xtables::state::State;
use xtables::{Table, words};

use super::drift::drifts;
use super::rules::wanted;
use super::standing;
use super::translation::translations;
use super::{owner, reach, shadow, write};
use crate::config::{Config, Evidence};
use crate::plan::Forwards;

/// The tables hold what is wanted: nothing differs. What is there already is not written again.
pub fn plan(config: &Config, forwards: &Forwards) {
    let attachment = &config.attachment;
    let wanted = wanted(attachment, config.masquerade, &config.mark, forwards);
    let chain = wanted.shared_name();
    let evidence = Evidence::of_config(config);
    let repair = write::repair(&State::default(), &wanted, &evidence);
    for line in repair.text().lines().filter(|line| !line.is_empty()) {
        let first = line.split(' ').next().unwrap_or_default();
        let known = ["*nat", "*mangle", "COMMIT", "-N", "-A", "-I"].contains(&first);
        assert!(known, "{line:?} was not planned");
    }
    let state = State::from_save(&as_saved(&repair.text()));
    let drifts = drifts(&state, &wanted, &chain);
    let again = write::repair(&state, &wanted, &evidence).text();
    // Conditions are judged by the rules that iptables makes of them, and may be none: they are words here.
    if wanted.conditional {
        return;
    }
    assert_eq!(drifts, vec![]);
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(standing::own_chains(&state, attachment, &evidence), [chain]);
}

/// A restore file as `iptables-save` would print the tables after it, if all was empty before.
fn as_saved(text: &str) -> String {
    let mut inserted = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("-N", chain)) => lines.push(format!(":{chain} - [0:0]")),
            Some(("-I", rule)) => inserted.push(rule.to_owned()),
            _ if line == "COMMIT" => {
                // Each was put before those that were inserted earlier.
                let rules = inserted.drain(..).rev();
                lines.extend(rules.map(|rule| format!("-A {}", without_place(&rule))));
                lines.push(line.to_owned());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

fn without_place(rule: &str) -> String {
    match rule.splitn(3, ' ').collect::<Vec<_>>().as_slice() {
        [chain, place, rule] if place.parse::<usize>().is_ok() => format!("{chain} {rule}"),
        _ => rule.to_owned(),
    }
}

/// A save, as ADD, CHECK, DEL and GC read it.
pub fn save(text: &str, attachment: &Attachment) {
    let evidence = Evidence::default();
    let state = State::from_save(text);
    for chain in standing::own_chains(&state, attachment, &evidence) {
        let _ = standing::claim(&state, attachment, &chain);
        let mut transaction = xtables::transaction::Transaction::default();
        write::remove(&mut transaction, &state, Table::Nat, &chain);
        let _ = transaction.text();
    }
    for table in [Table::Nat, Table::Mangle] {
        for rules in state.table(table).values() {
            let _ = translations(rules);
            rules.iter().for_each(|text| rule(text));
        }
    }
}

fn rule(text: &str) {
    let split = words::split(text);
    assert_eq!(words::split(&words::joined(&split)), split, "{text:?}");
    let meaning = Meaning::of(text);
    assert!(same(text, &words::joined(&split)), "{meaning:?}");
    let _ = (meaning.comment(), meaning.goes_to());
    let meaning = Meaning::of(text);
    let _ = (owner::jump(text), shadow::ends(&meaning));
    let _ = reach::Reach::of(&meaning);
}
