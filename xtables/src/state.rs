//! What `iptables-save` and `-S` print, read into plain data.

use std::collections::BTreeMap;

use crate::Table;

/// The chains of the tables that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    nat: Chains,
    mangle: Chains,
}

/// Chains by name, each with its rules in order, without their `-A CHAIN`.
pub type Chains = BTreeMap<String, Vec<String>>;

impl State {
    /// Reads what `iptables-save` printed; tables other than nat and mangle are left out.
    pub fn from_save(text: &str) -> State {
        let mut state = State::default();
        let mut table = None;
        for line in text.lines() {
            match line.strip_prefix('*') {
                Some("nat") => table = Some(Table::Nat),
                Some("mangle") => table = Some(Table::Mangle),
                Some(_) => table = None,
                None => {
                    if let Some(table) = table {
                        take(state.table_mut(table), line);
                    }
                }
            }
        }
        state
    }

    /// Reads what several `-S CHAIN` printed. The table is not printed there, but nat's chains come
    /// first: mangle begins with a chain that nat does not have, or one that was listed already.
    pub fn from_listing(text: &str, only_in_mangle: &str) -> State {
        let mut state = State::default();
        let mut table = Table::Nat;
        for line in text.lines() {
            let mut words = line.split(' ');
            let begins = matches!(words.next(), Some("-N" | "-P"));
            let chain = words.next().unwrap_or_default();
            if begins && (chain == only_in_mangle || state.nat.contains_key(chain)) {
                table = Table::Mangle;
            }
            take(state.table_mut(table), line);
        }
        state
    }

    /// The chains of a table.
    pub fn table(&self, table: Table) -> &Chains {
        match table {
            Table::Nat => &self.nat,
            Table::Mangle => &self.mangle,
        }
    }

    /// The chains of a table, to be changed.
    pub fn table_mut(&mut self, table: Table) -> &mut Chains {
        match table {
            Table::Nat => &mut self.nat,
            Table::Mangle => &mut self.mangle,
        }
    }

    /// The rules of a chain of the nat table, if it exists.
    pub fn chain(&self, name: &str) -> Option<&[String]> {
        self.nat.get(name).map(Vec::as_slice)
    }

    /// The rules of a chain of the nat table; none where it does not exist.
    pub fn rules(&self, chain: &str) -> &[String] {
        self.chain(chain).unwrap_or(&[])
    }

    /// Adds a chain.
    pub fn insert(&mut self, table: Table, chain: &str, rules: Vec<String>) {
        self.table_mut(table).insert(chain.to_owned(), rules);
    }

    /// Adds a rule at the end of a chain.
    pub fn push(&mut self, table: Table, chain: &str, rule: String) {
        let rules = self.table_mut(table).entry(chain.to_owned());
        rules.or_default().push(rule);
    }

    /// Adds the chains of another reading.
    pub fn merge(&mut self, other: State) {
        let State { nat, mangle } = other;
        self.nat.extend(nat);
        self.mangle.extend(mangle);
    }
}

/// One line: `:CHAIN POLICY [0:0]` and `-A CHAIN RULE` of a save, `-N CHAIN`, `-P CHAIN POLICY` and
/// `-A CHAIN RULE` of a listing. Everything else says nothing about chains.
fn take(chains: &mut Chains, line: &str) {
    let (kind, rest) = match line.strip_prefix(':') {
        Some(rest) => (":", rest),
        None => match line.split_once(' ') {
            Some(parts) => parts,
            None => return,
        },
    };
    let (chain, rule) = rest.split_once(' ').unwrap_or((rest, ""));
    match kind {
        ":" | "-N" | "-P" => {
            chains.entry(chain.to_owned()).or_default();
        }
        "-A" => chains
            .entry(chain.to_owned())
            .or_default()
            .push(rule.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_and_a_listing_give_the_same_chains() {
        let save = "# Generated\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n*nat\n\
            :OUTPUT ACCEPT [3:4]\n:DISPATCH - [0:0]\n-A OUTPUT -j DISPATCH\nCOMMIT\n";
        let list = "-P OUTPUT ACCEPT\n-A OUTPUT -j DISPATCH\n-N DISPATCH\n";
        let state = State::from_save(save);
        assert_eq!(state, State::from_listing(list, "GUARD"));
        assert_eq!(state.chain("OUTPUT").unwrap(), ["-j DISPATCH"]);
        assert!(state.rules("DISPATCH").is_empty());
        assert!(state.table(Table::Mangle).is_empty());
    }

    #[test]
    fn tables_are_told_apart_in_a_listing() {
        let list = "-P OUTPUT ACCEPT\n-A OUTPUT -j X\n-P OUTPUT ACCEPT\n-N GUARD\n";
        let state = State::from_listing(list, "GUARD");
        assert_eq!(state.table(Table::Mangle).len(), 2);
        assert_eq!(state.chain("OUTPUT").unwrap(), ["-j X"]);
    }

    #[test]
    fn nonsense_is_left_out() {
        for text in [
            "",
            ":",
            "-A",
            "*nat\n:\n-A\n-A \n \nfoo bar\n",
            "*nat\nCOMMIT extra",
        ] {
            let _ = State::from_save(text);
            let _ = State::from_listing(text, "GUARD");
        }
    }
}
