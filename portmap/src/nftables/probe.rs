//! What STATUS asks the kernel: would it take our table?
//!
//! A batch without its end is checked and discarded, as `nft --check` does it, so nothing changes.
//! Every kind of expression gets a rule of its own, and so an answer of its own.

use common::Family;
use common::error::Error;
use nft::command::{Action, Command};
use nft::expr::Expr;
use nft::object::{Place, Rule};
use nft::socket::Nft;

use super::layout::{self, Parts};
use super::shared::place;

/// The table of the check, which never comes to be.
const TABLE: &str = "cni_portmap_probe";

/// Names everything that a family's table needs and this kernel does not have.
///
/// # Errors
/// When the kernel does not answer.
pub fn missing(nft: &mut Nft, family: Family) -> Result<Vec<String>, Error> {
    let place = Place {
        table: TABLE,
        ..place(family)
    };
    let mut commands = vec![Command {
        place,
        action: Action::AddTable {
            comment: layout::COMMENT.to_owned(),
        },
    }];
    let mut rules = Vec::new();
    let parts = Parts::default().with_ranges(|_| true);
    let sets = layout::fixed_sets(family, parts)
        .into_iter()
        .map(|id| id.add(family));
    commands.extend(sets.map(|action| Command { place, action }));
    for (chain, all) in layout::chains(family, family == Family::V4, parts) {
        let name = chain.name.clone();
        let action = Action::AddChain(chain);
        commands.push(Command { place, action });
        rules.extend(all.into_iter().map(|rule| (name.clone(), rule)));
    }
    commands.extend(rules.into_iter().map(|(chain, rule): (String, Rule)| {
        let first = false;
        let action = Action::AddRule { chain, rule, first };
        Command { place, action }
    }));
    let refusals = nft.check(&commands)?;
    Ok(refusals
        .into_iter()
        .filter_map(|(index, refusal)| {
            let what = match &commands.get(index)?.action {
                Action::AddRule { rule, .. } => expressions(rule),
                _ => commands.get(index)?.to_string(),
            };
            Some(format!("{} {what}: {refusal}", family.nft_name()))
        })
        .collect())
}

/// The kinds of expressions that a kernel may lack, by the names of their modules.
fn expressions(rule: &Rule) -> String {
    let module = |expr: &Expr| match expr {
        Expr::Fib { .. } => Some("nft_fib"),
        Expr::Ct { .. } => Some("nft_ct"),
        Expr::Dnat { .. } => Some("nft_nat"),
        Expr::Masquerade => Some("nft_masq"),
        _ => None,
    };
    let modules: Vec<&str> = rule.exprs.iter().filter_map(module).collect();
    match modules.is_empty() {
        true => format!("rule {rule}"),
        false => format!("rule with {}", modules.join(" and ")),
    }
}
