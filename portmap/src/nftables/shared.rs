//! What all attachments share: compared with the layout, and completed.

use common::error::{Code, Error};
use common::sys::netlink::Refusal;
use common::{Drift, Family};
use nft::command::{Action, Command};
use nft::object::{Chain, Place, Rule, Set, Table};
use nft::socket::Nft;

use super::layout::{self, BY_ADDRESS, COMMENT, Parts, TABLE};
use super::private;
use super::scope::names;
use super::set::{By, Purpose, SetId};

/// What an attachment needs of what is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Of which table.
    pub family: Family,
    /// Foreign packets must be kept away from 127.0.0.0/8.
    pub guard: bool,
    /// The prefix length of the network whose packets are masqueraded.
    pub hairpin: Option<u8>,
    /// Which parts of the table.
    pub parts: Parts,
}

impl Need {
    /// The prefix length in a lookup chain.
    fn hairpin_in(self, by: By) -> Option<u8> {
        self.hairpin
            .filter(|_| self.parts.lookups().any(|one| one == by))
    }
}

/// What is there of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The table.
    pub table: Option<Table>,
    /// The chains of [`layout::chains`] that are there, with those of ranges.
    pub chains: Vec<(Chain, Vec<Rule>)>,
    /// The rules that lead from the chain of addresses, at its end, to those of limits.
    pub scopes: Vec<Rule>,
    /// All sets of the table.
    pub sets: Vec<Set>,
}

/// The differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// What makes up for them.
    pub commands: Vec<Command>,
    /// What they are.
    pub drifts: Vec<Drift>,
    /// What no command of ours may put right: the table is not ours, or no longer usable.
    pub obstacle: Option<String>,
}

/// Our table of a family.
pub fn place(family: Family) -> Place {
    Place {
        family,
        table: TABLE,
    }
}

/// Our table as errors name it.
pub fn table_name(family: Family) -> String {
    format!("table {} {TABLE}", family.nft_name())
}

/// Reads what is there.
///
/// # Errors
/// What the kernel refused.
pub fn observe(nft: &mut Nft, need: Need) -> Result<Seen, Refusal> {
    let place = place(need.family);
    let table = nft.table(place)?;
    let wanted = layout::chains(need.family, need.guard, need.parts.with_ranges(|_| true));
    let mut chains = Vec::new();
    let mut scopes = Vec::new();
    let mut sets = Vec::new();
    if table.is_some() {
        sets = nft.sets(place)?;
        let names: Vec<&str> = wanted
            .iter()
            .map(|(chain, _)| chain.name.as_str())
            .collect();
        for chain in nft.chains(place, &names)?.into_iter().flatten() {
            let mut rules = nft.rules(place, &chain.name)?;
            if chain.name == layout::CONDITIONS {
                // Those that lead to attachments' chains are the attachments'.
                rules.retain(|rule| !rule.leads_to_one_of(private::PREFIX));
            }
            if chain.name == BY_ADDRESS {
                scopes = names::split(&mut rules);
            }
            chains.push((chain, rules));
        }
    }
    Ok(Seen {
        table,
        chains,
        scopes,
        sets,
    })
}

impl Seen {
    /// The parts that are needed: ranges concern every attachment once one has had them.
    fn parts(&self, need: Need) -> Parts {
        let has_ranges = |on| {
            let (purpose, by) = (Purpose::Dnat, By::range(on));
            let ranges = SetId { purpose, by }.set(need.family);
            self.sets.contains(&ranges)
        };
        need.parts.with_ranges(has_ranges)
    }
}

/// The prefix lengths for which there are sets.
pub fn hairpins(sets: &[Set]) -> Vec<u8> {
    let mut prefixes: Vec<u8> = sets
        .iter()
        .filter_map(|set| match SetId::from_name(&set.name)?.purpose {
            Purpose::Hairpin(prefix) => Some(prefix),
            _ => None,
        })
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// Compares: the commands are in an order in which they work.
pub fn diff(need: Need, seen: &Seen) -> Diff {
    let mut diff = Diff::default();
    let Diff {
        commands,
        drifts,
        obstacle: _,
    } = &mut diff;
    let place = place(need.family);
    let mut command = |action| commands.push(Command { place, action });
    match &seen.table {
        None => {
            let comment = COMMENT.to_owned();
            command(Action::AddTable { comment });
            let drift = Drift::new(table_name(need.family), "present", "missing");
            drifts.push(drift.of_missing("table"));
        }
        Some(table) if table.is_dormant() => {
            command(Action::WakeTable);
            drifts.push(Drift::new(table_name(need.family), "active", "dormant"));
        }
        Some(_) => {}
    }
    sets(need, seen, &mut diff);
    chains(need, seen, &mut diff);
    diff
}

fn sets(need: Need, seen: &Seen, diff: &mut Diff) {
    let place = place(need.family);
    let hairpins = need.parts.lookups().filter_map(|by| {
        let purpose = Purpose::Hairpin(need.hairpin?);
        Some(SetId { purpose, by })
    });
    for id in layout::fixed_sets(need.family, seen.parts(need))
        .into_iter()
        .chain(hairpins)
    {
        let wanted = id.set(need.family);
        let object = format!("set {} of {}", wanted.name, table_name(need.family));
        match seen.sets.iter().find(|set| set.name == wanted.name) {
            Some(set) if *set == wanted => {}
            Some(_) => {
                diff.drifts
                    .push(Drift::new(&object, "our layout", "another type"));
                diff.obstacle = Some(format!("{object} has another type"));
            }
            None => {
                let drift = Drift::new(object, "present", "missing");
                diff.drifts.push(drift.of_missing("set"));
                let action = id.add(need.family);
                diff.commands.push(Command { place, action });
            }
        }
    }
    let is_ours = |table: &Table| table.comment.as_deref() == Some(COMMENT);
    // nft before 1.0.2 loses comments of tables when it loads its own print: sets show it then.
    let fixed = layout::fixed_sets(need.family, Parts::default());
    let complete = fixed
        .iter()
        .all(|id| seen.sets.contains(&id.set(need.family)));
    if seen.table.as_ref().is_some_and(|table| !is_ours(table)) && !complete {
        diff.obstacle = Some("it lacks our comment and our sets".to_owned());
    }
}

fn chains(need: Need, seen: &Seen, diff: &mut Diff) {
    let place = place(need.family);
    let mut rules_to_add = Vec::new();
    let wanted = layout::chains(need.family, need.guard, seen.parts(need));
    for (chain, rules) in wanted {
        let seen_chain = seen.chains.iter().find(|(one, _)| one.name == chain.name);
        let object = format!("chain {} of {}", chain.name, table_name(need.family));
        let mut command = |action| diff.commands.push(Command { place, action });
        let all = || all_rules(need, &seen.sets, &chain.name, &rules);
        match seen_chain {
            None => {
                let drift = Drift::new(object, "present", "missing");
                diff.drifts.push(drift.of_missing("chain"));
                command(Action::AddChain(chain.clone()));
                rules_to_add.extend(all());
            }
            Some((present, _)) if present.base != chain.base => {
                diff.drifts
                    .push(Drift::new(&object, hook_text(&chain), hook_text(present)));
                if chain.base.is_none() {
                    diff.obstacle = Some(format!("{object} has a hook"));
                    continue;
                }
                command(Action::DeleteChain(chain.name.clone()));
                command(Action::AddChain(chain.clone()));
                rules_to_add.extend(all());
            }
            Some((_, present)) => match compare(need, &chain.name, &rules, present) {
                Verdict::Same => {}
                Verdict::LacksHairpin(by) => {
                    let rule = hairpin(need, need.hairpin.unwrap_or(0), by);
                    let drift = Drift::new(object, &rule, "no such rule");
                    diff.drifts.push(drift.of_missing("rule"));
                    rules_to_add.push((chain.name.clone(), rule, true));
                }
                Verdict::Differs(drift) => {
                    let (expected, actual) = drift;
                    diff.drifts.push(Drift::new(object, expected, actual));
                    let strangers = present.iter().map(|rule| Some(rule.handle));
                    let handles = match chain.name == layout::CONDITIONS {
                        true => strangers.collect(),
                        false => vec![None],
                    };
                    for handle in handles {
                        let chain = chain.name.clone();
                        command(Action::DeleteRule { chain, handle });
                    }
                    rules_to_add.extend(all());
                    if chain.name == BY_ADDRESS {
                        let scopes = seen.scopes.iter().cloned();
                        rules_to_add.extend(scopes.map(|rule| (chain.name.clone(), rule, false)));
                    }
                }
            },
        }
    }
    // Only now all chains and sets are there that rules lead to.
    diff.commands
        .extend(rules_to_add.into_iter().map(|(chain, rule, first)| {
            let action = Action::AddRule { chain, rule, first };
            Command { place, action }
        }));
}

/// What was found out about a chain's rules.
enum Verdict {
    Same,
    LacksHairpin(By),
    Differs((String, String)),
}

fn compare(need: Need, chain: &str, wanted: &[Rule], present: &[Rule]) -> Verdict {
    let lookup = looked_up(need, chain);
    let Some(front) = present.len().checked_sub(wanted.len()) else {
        return Verdict::Differs(first_difference(wanted, present));
    };
    let (front, rest) = present.split_at_checked(front).unwrap_or_default();
    let same = |a: &Rule, b: &Rule| a.exprs == b.exprs;
    if !rest.iter().zip(wanted).all(|(a, b)| same(a, b)) {
        return Verdict::Differs(first_difference(wanted, present));
    }
    let Some(by) = lookup else {
        let extra = front.first();
        return extra.map_or(Verdict::Same, |_| {
            Verdict::Differs(first_difference(wanted, present))
        });
    };
    let prefix_of = |rule: &Rule| {
        (0..=need.family.bits()).find(|prefix| same(&hairpin(need, *prefix, by), rule))
    };
    let mut prefixes = Vec::new();
    for rule in front {
        match prefix_of(rule) {
            Some(prefix) => prefixes.push(prefix),
            None => return Verdict::Differs(("rules of ours only".into(), rule.to_string())),
        }
    }
    match need.hairpin_in(by) {
        Some(prefix) if !prefixes.contains(&prefix) => Verdict::LacksHairpin(by),
        _ => Verdict::Same,
    }
}

fn first_difference(wanted: &[Rule], present: &[Rule]) -> (String, String) {
    let count = wanted.len().max(present.len());
    let text = |rule: Option<&Rule>| rule.map_or("no rule".to_owned(), Rule::to_string);
    let differs = |index: &usize| {
        let exprs = |rules: &[Rule]| rules.get(*index).map(|rule| rule.exprs.clone());
        exprs(wanted) != exprs(present)
    };
    let index = (0..count).find(differs).unwrap_or(0);
    let (expected, actual) = (text(wanted.get(index)), text(present.get(index)));
    if expected == actual {
        return (expected, format!("{actual} with other values"));
    }
    (expected, actual)
}

/// Every rule of a chain; the lookup chains first ask the sets of networks.
fn all_rules(
    need: Need,
    seen_sets: &[Set],
    chain: &str,
    fixed: &[Rule],
) -> Vec<(String, Rule, bool)> {
    let mut rules = Vec::new();
    if let Some(by) = looked_up(need, chain) {
        let mut prefixes = hairpins(seen_sets);
        // A set of another making would make the batch fail.
        prefixes.retain(|prefix| {
            let id = SetId {
                purpose: Purpose::Hairpin(*prefix),
                by,
            };
            *prefix <= need.family.bits() && seen_sets.contains(&id.set(need.family))
        });
        prefixes.extend(need.hairpin_in(by));
        prefixes.sort_unstable();
        prefixes.dedup();
        rules.extend(prefixes.iter().map(|prefix| hairpin(need, *prefix, by)));
    }
    rules.extend_from_slice(fixed);
    let place = |rule| (chain.to_owned(), rule, false);
    rules.into_iter().map(place).collect()
}

/// What a chain looks up, if it is one that does.
fn looked_up(need: Need, chain: &str) -> Option<By> {
    let mut all = need.parts.with_ranges(|_| true).lookups();
    all.find(|by| layout::chain(*by) == chain)
}

fn hairpin(need: Need, prefix: u8, by: By) -> Rule {
    let purpose = Purpose::Hairpin(prefix);
    let id = SetId { purpose, by };
    id.rule(need.family)
}

fn hook_text(chain: &Chain) -> String {
    match &chain.base {
        None => "no hook".to_owned(),
        Some(base) => base.to_string(),
    }
}

/// The error for a table that we must not touch.
pub fn obstructed(family: Family, why: &str) -> Error {
    let name = table_name(family);
    let remedy = format!("{why}; `nft delete {name}` removes it");
    Error::new(
        Code::System,
        format!("{name} exists, but not as portmap creates it"),
    )
    .with_details(remedy)
}

#[cfg(test)]
mod tests;
