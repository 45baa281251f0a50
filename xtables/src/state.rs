//! What `iptables-save` prints, read into plain data.

use std::collections::BTreeMap;

use crate::Table;

/// The chains of the tables that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    nat: Chains,
    mangle: Chains,
    obstacles: BTreeMap<(Table, Option<String>), String>,
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
        let State {
            nat,
            mangle,
            obstacles,
        } = other;
        self.nat.extend(nat);
        self.mangle.extend(mangle);
        self.obstacles.extend(obstacles);
    }

    /// Notes what keeps packets from a table, or from a chain whose name iptables' own has.
    pub fn note_obstacle(&mut self, table: Table, chain: Option<&str>, what: String) {
        let of = (table, chain.map(str::to_owned));
        self.obstacles.insert(of, what);
    }

    /// What keeps packets from a table, or from a chain whose name iptables' own has: it is not in the table's
    /// chains then.
    pub fn obstacle(&self, table: Table, chain: Option<&str>) -> Option<&str> {
        let of = (table, chain.map(str::to_owned));
        self.obstacles.get(&of).map(String::as_str)
    }
}

/// One line: `:CHAIN POLICY [0:0]` or `-A CHAIN RULE`. Everything else says nothing about chains.
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
        ":" => {
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
    fn a_save_gives_the_chains_of_nat_and_mangle() {
        let save = "# Generated\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n*nat\n\
            :OUTPUT ACCEPT [3:4]\n:DISPATCH - [0:0]\n-A OUTPUT -j DISPATCH\nCOMMIT\n";
        let state = State::from_save(save);
        assert_eq!(state.chain("OUTPUT").unwrap(), ["-j DISPATCH"]);
        assert!(state.rules("DISPATCH").is_empty());
        assert!(state.table(Table::Mangle).is_empty());
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
        }
    }
}
