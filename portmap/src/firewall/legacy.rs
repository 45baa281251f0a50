//! The legacy tables, as their program prints them: only it has words for every match.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use common::Family;
use common::error::{Code, Context, Error};

use super::{Base, Chain, Hook, Rule};
use crate::iptables::save_legacy;

/// The chains of every table that this namespace has.
///
/// # Errors
/// Code 103 without a program to read them, code 100 with what it said.
pub fn chains(family: Family) -> Result<Vec<Chain>, Error> {
    let file = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    let names = match fs::read_to_string(file) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.context(Code::Io, || format!("read {file}"))?,
    };
    match names.trim().is_empty() {
        true => Ok(Vec::new()),
        false => save_legacy(family).map(|text| parse(&text)),
    }
}

/// `*TABLE`, `:CHAIN POLICY [0:0]` and `-A CHAIN RULE`, as `iptables-save` prints them.
fn parse(text: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut table = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
            places.clear();
        } else if let Some(rest) = line.strip_prefix(':') {
            let mut words = rest.split(' ');
            let (name, policy) = (words.next().unwrap_or_default(), words.next());
            places.insert(name.to_owned(), chains.len());
            chains.push(Chain {
                table: format!("{table} (legacy)"),
                name: name.to_owned(),
                base: base(table, name, policy == Some("DROP")),
                rules: Vec::new(),
            });
        } else if let Some((name, rule)) = line.strip_prefix("-A ").and_then(|l| l.split_once(' '))
            && let Some(chain) = places.get(name).and_then(|place| chains.get_mut(*place))
        {
            chain.rules.push(Rule::of(rule.to_owned()));
        }
    }
    chains
}

/// Where the kernel calls a chain (`enum nf_ip_hook_priorities`).
fn base(table: &str, chain: &str, drops: bool) -> Option<Base> {
    let hook = Hook::ALL.into_iter().find(|hook| hook.name() == chain)?;
    let at_source = matches!(hook, Hook::Input | Hook::Postrouting);
    let priority = match table {
        "raw" => -300,
        "mangle" => -150,
        "nat" if at_source => 100,
        "nat" => -100,
        "security" => 50,
        _ => 0,
    };
    Some(Base {
        hook,
        priority,
        is_nat: table == "nat",
        drops,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_gives_chains_with_policies_and_rules() {
        let save = "*filter\n:FORWARD DROP [0:0]\n:X - [0:0]\n-A FORWARD -i a -j X\nCOMMIT\n\
                    *nat\n:PREROUTING ACCEPT [0:0]\n:X - [0:0]\n-A X -j RETURN\nCOMMIT\n";
        let chains = parse(save);
        let told: Vec<_> = chains
            .iter()
            .map(|c| (c.table.as_str(), c.name.as_str(), c.rules.len()))
            .collect();
        let expected = [
            ("filter (legacy)", "FORWARD", 1),
            ("filter (legacy)", "X", 0),
            ("nat (legacy)", "PREROUTING", 0),
            ("nat (legacy)", "X", 1),
        ];
        assert_eq!(told, expected);
        assert!(chains[0].base.is_some_and(|base| base.drops));
        assert_eq!(chains[2].base.map(|base| base.priority), Some(-100));
    }
}
