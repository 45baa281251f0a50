//! What chains of others do with packets: a rule that leads to one from which none comes back ends the search, as
//! a verdict does.
//!
//! Only what is so for every packet counts, and the beginning of a chain: kube-proxy's have thousands of rules,
//! and one that takes everything leaves nothing to the rules after it.

use std::collections::BTreeSet;

use xtables::Table;
use xtables::meaning::{Meaning, same};
use xtables::state::{Chains, State};

use super::rules::{CHAINS, DNAT, OWN_PREFIX, Wanted};
use super::shadow::{self, Forwards};

/// How many rules of a chain count.
pub const RULES: usize = 32;
/// How deep chains are followed, and so how often more of them are read.
pub const DEPTH: usize = 4;
/// How many rules are taken apart for one.
const WORK: usize = 512;

/// Whether a rule's packets surely do not get to the rules after it.
pub fn ends(chains: &Chains, meaning: &Meaning) -> bool {
    shadow::ends(meaning) || Walk::of(chains).ends(meaning, DEPTH)
}

/// The chains of others that must be read to know that.
pub fn unread(state: &State, wanted: &Wanted) -> BTreeSet<(Table, String)> {
    let ports = Forwards::of(&wanted.ports);
    let mut missing = BTreeSet::new();
    let mut walk = |table, rules: &mut dyn Iterator<Item = &String>| {
        let mut walk = Walk::of(state.table(table));
        for meaning in rules.map(|rule| Meaning::of(rule)) {
            if meaning.is_for_all() || !ports.matched(&meaning).is_empty() {
                walk.ends(&meaning, DEPTH);
            }
        }
        let found = walk.missing.into_iter();
        missing.extend(found.map(|name| (table, name)));
    };
    for shared in &wanted.shared {
        let chain = state.table(shared.table).get(shared.chain);
        let rules = chain.into_iter().flatten();
        let mut before = rules.take_while(|rule| !same(rule, &shared.rule));
        walk(shared.table, &mut before);
    }
    // Of thousands of jumps to attachments none leads to others. Those of no concern have no words.
    let is_stranger = |rule: &&String| !rule.is_empty() && !rule.contains(OWN_PREFIX);
    let mut strangers = state.rules(DNAT).iter().filter(is_stranger).take(RULES);
    walk(Table::Nat, &mut strangers);
    missing
}

/// One walk through chains.
struct Walk<'a> {
    chains: &'a Chains,
    /// How many rules it may still take apart.
    left: usize,
    /// Chains that are not known.
    missing: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn of(chains: &'a Chains) -> Walk<'a> {
        Walk {
            chains,
            left: WORK,
            missing: BTreeSet::new(),
        }
    }

    /// Whether no packet comes back from where a rule leads.
    fn ends(&mut self, meaning: &Meaning, depth: usize) -> bool {
        match meaning.target.as_slice() {
            [name] if is_others(name) => self.takes_all(name, depth),
            _ => false,
        }
    }

    fn takes_all(&mut self, name: &str, depth: usize) -> bool {
        let Some(rules) = self.chains.get(name) else {
            self.missing.insert(name.to_owned());
            return false;
        };
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        for rule in rules.iter().take(RULES) {
            let Some(left) = self.left.checked_sub(1) else {
                return false;
            };
            self.left = left;
            let meaning = Meaning::of(rule);
            let is_all = meaning.is_for_all();
            match meaning.target.as_slice() {
                // Some come back, or all.
                [target] if target == "RETURN" => return false,
                [goto, chain] if goto == "goto" => {
                    let ends = self.takes_all(chain, depth);
                    if is_all || !ends {
                        return ends;
                    }
                }
                _ if is_all && (shadow::ends(&meaning) || self.ends(&meaning, depth)) => {
                    return true;
                }
                _ => {}
            }
        }
        false
    }
}

/// Whether a target is a chain of another tool. Those of the kernel have options, except for a few, which no
/// chain has the names of.
fn is_others(target: &str) -> bool {
    !target.starts_with(CHAINS) && !shadow::is_final(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends_with(rule: &str, chains: &[(&str, &[&str])]) -> bool {
        let mut state = State::default();
        for (name, rules) in chains {
            let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
            state.insert(Table::Nat, name, rules);
        }
        ends(state.table(Table::Nat), &Meaning::of(rule))
    }

    #[test]
    fn a_chain_from_which_no_packet_comes_back_ends_the_search() {
        for rules in [
            &["-j ACCEPT"][..],
            &[
                "-j LOG --log-prefix x",
                "-p tcp -j ACCEPT",
                "-j DNAT --to-destination 1.1.1.1",
            ],
            &[
                "-s 10.0.0.0/8 -j DEEPER",
                "-m comment --comment x -j DEEPER",
            ],
            &["-g DEEPER"],
            &["-s 10.0.0.0/8 -g DEEPER", "-j DEEPER"],
        ] {
            let chains = [("OTHER", rules), ("DEEPER", &["-j REDIRECT --to-ports 1"])];
            assert!(ends_with("-j OTHER", &chains), "{rules:?}");
            assert!(ends_with("-p tcp -j OTHER", &chains), "{rules:?}");
        }
    }

    #[test]
    fn a_chain_from_which_some_may_come_back_does_not() {
        for rules in [
            &[][..],
            &["-j RETURN", "-j ACCEPT"],
            &["-i docker0 -j RETURN", "-j ACCEPT"],
            &["-p tcp -j ACCEPT"],
            &["-s 10.0.0.0/8 -g DEEPER", "-j ACCEPT"],
            &["-g DEEPER", "-j ACCEPT"],
            &["-j OTHER"],
            &["-j NOWHERE"],
        ] {
            let chains = [("OTHER", rules), ("DEEPER", &["-p udp -j ACCEPT"])];
            assert!(!ends_with("-j OTHER", &chains), "{rules:?}");
        }
        let far = vec!["-p udp -j ACCEPT"; RULES];
        let far = [&far[..], &["-j ACCEPT"]].concat();
        assert!(!ends_with("-j OTHER", &[("OTHER", &far)]));
    }
}
