//! What ADD of the entries of a list would make, for people.

use std::collections::BTreeSet;

use common::error::Error;
use common::{Attachment, Family};
use xtables::state::State;
use xtables::{Table, Variant};

use super::families::Variants;
use super::rules::{DNAT, Wanted, all_wanted};
use super::{native, remove, write};
use crate::config::{Config, Evidence};
use crate::plan::Plan;

/// The chains of the entries that come before, which are not there yet.
#[derive(Debug, Default)]
pub struct Names(BTreeSet<(Family, String)>);

impl Names {
    /// The chain that an attachment has, or gets.
    fn chain(&mut self, state: &State, wanted: &Wanted, evidence: &Evidence) -> String {
        let chain = write::chain(state, wanted, evidence);
        let name = match self.0.contains(&(wanted.family, chain.clone())) {
            true => wanted.exact_name(),
            false => chain,
        };
        self.0.insert((wanted.family, name.clone()));
        name
    }
}

/// What an attachment has, read without making a table of it.
fn look(variants: Variants, family: Family, owner: &Attachment) -> Result<State, Error> {
    match variants.of(family) {
        Some(Variant::Legacy) => remove::legacy::look(family, owner),
        Some(Variant::Nft) | None => native::look_at(family, owner),
    }
}

/// The rules of a plan, a line each: what all attachments share first.
///
/// # Errors
/// What could not be read.
pub fn shown(plan: &Plan, config: &Config, names: &mut Names) -> Result<Vec<String>, Error> {
    let variants = Variants::find()?;
    let evidence = Evidence::of_config(config);
    let mut lines = Vec::new();
    for wanted in all_wanted(plan, config, &Family::ALL) {
        let program = match wanted.family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        let state = look(variants, wanted.family, &plan.attachment)?;
        let own = names.chain(&state, &wanted, &evidence);
        let rule = |table: Table, chain: &str, rule: &str| {
            format!("{program} -t {} -A {chain} {rule}", table.name())
        };
        let shared = wanted.shared.iter();
        lines.extend(shared.map(|one| rule(one.table, one.chain, &one.rule)));
        lines.extend(wanted.own.iter().map(|text| rule(Table::Nat, &own, text)));
        let jumps = wanted.jumps.iter();
        lines.extend(jumps.map(|jump| rule(Table::Nat, DNAT, &jump.to(&own))));
    }
    Ok(lines)
}
