//! Limits in our table (`hostAddresses`, `hostInterfaces`): a set of their addresses, and a chain that asks
//! the maps of the ports within them. One rule leads there, behind the ports of single addresses. Attachments
//! with the same limits share all of it; it stays until GC finds that nobody has it any longer: [`unused`].

pub mod names;
pub mod rivals;
pub mod unused;

use std::net::IpAddr;

use common::family::{address, bytes};
use common::result::Prefix;
use common::sys::netlink::Refusal;
use common::{Drift, Family};
use nft::command::{Action, Command};
use nft::expr::Expr;
use nft::intervals::Intervals;
use nft::object::{Rule, Set};
use nft::parts::address_type;
use nft::socket::Nft;
use nft::uapi;

use super::layout::BY_ADDRESS;
use super::set::{By, On, Purpose, SetId};
use super::shared::{self, Diff, Seen};
use crate::limits::prefixes::between;
use crate::limits::{Allowed, Scope, end};
use crate::list::at::At;
use names::{addresses, chain, of_chain, of_set, test};

fn set(family: Family, scope: Scope) -> Set {
    Set {
        name: addresses(scope),
        flags: uapi::SET_FLAG_INTERVAL,
        key_type: address_type(family),
        key_len: u32::from(family.address_len()),
        data: None,
    }
}

fn rule(family: Family, scope: Scope) -> Rule {
    let jump = Expr::Jump(chain(scope));
    Rule::new(test(family, scope).into_iter().chain([jump]).collect())
}

/// Adds to a difference how what there is differs from what limits need, and what makes up for it. Without
/// `is_asked`, rules with conditions ask the addresses and nothing leads to the chain.
///
/// # Errors
/// What the kernel refused.
pub fn diff(
    nft: &mut Nft,
    (family, seen): (Family, &Seen),
    allowed: &Allowed,
    is_asked: bool,
    diff: &mut Diff,
) -> Result<(), Refusal> {
    let (place, table) = (shared::place(family), shared::table_name(family));
    let (set, scope) = (set(family, allowed.scope), allowed.scope);
    let object = format!("set {} of {table}", set.name);
    let wanted = intervals(&allowed.prefixes);
    let is_there = seen.sets.contains(&set);
    let present = match is_there {
        true => Intervals::read(nft, place, &set.name)?,
        false => Intervals::default(),
    };
    if !is_there {
        let drift = Drift::new(&object, "present", "missing");
        diff.drifts.push(drift.of_missing("set"));
        let action = Action::AddSet {
            set: set.clone(),
            counted: false,
        };
        diff.commands.push(Command { place, action });
    } else if present != wanted {
        let expected = shown(&allowed.prefixes);
        diff.drifts
            .push(Drift::new(&object, expected, "other addresses"));
    }
    if present != wanted {
        let is_empty = present == Intervals::default();
        diff.commands
            .extend(wanted.commands(place, &set.name, is_empty));
    }
    let rule = rule(family, scope);
    let leads = seen.scopes.iter().any(|one| one.exprs == rule.exprs);
    if is_asked && !leads {
        let object = format!("chain {BY_ADDRESS} of {table}");
        let drift = Drift::new(object, &rule, "no such rule");
        diff.drifts.push(drift.of_missing("rule"));
        let action = Action::AddRule {
            chain: BY_ADDRESS.to_owned(),
            rule,
            first: false,
        };
        diff.commands.push(Command { place, action });
    }
    Ok(())
}

/// Addresses in words.
pub fn shown(prefixes: &[Prefix]) -> String {
    let texts: Vec<String> = prefixes.iter().map(Prefix::to_string).collect();
    texts.join(", ")
}

/// Addresses as a set has them.
pub fn intervals(prefixes: &[Prefix]) -> Intervals {
    let one = |prefix: &Prefix| (bytes(prefix.addr), end(prefix).map(bytes));
    Intervals::of(prefixes.iter().map(one))
}

/// The limits in a table in the order in which packets meet them, each with whether a rule leads to its ports.
///
/// # Errors
/// What the kernel refused.
pub fn all(nft: &mut Nft, family: Family) -> Result<Vec<(Scope, bool)>, Refusal> {
    let place = shared::place(family);
    let sets = nft.sets(place)?;
    let scopes = sets
        .iter()
        .filter_map(|set| match SetId::from_name(&set.name)? {
            SetId {
                purpose: Purpose::Dnat,
                by:
                    By {
                        on: On::Within(scope),
                        is_range: false,
                    },
            } => Some(scope),
            _ => None,
        });
    let scopes: Vec<Scope> = scopes.collect();
    if scopes.is_empty() {
        return Ok(Vec::new());
    }
    let rules = nft.rules(place, BY_ADDRESS)?;
    let leads = |scope: Scope| rules.iter().position(|rule| rule.leads_to(&chain(scope)));
    let mut placed: Vec<_> = scopes
        .into_iter()
        .map(|scope| (leads(scope), scope))
        .collect();
    placed.sort_by_key(|(place, _)| (place.is_none(), *place));
    let is_led = |(place, scope): (Option<usize>, Scope)| (scope, place.is_some());
    Ok(placed.into_iter().map(is_led).collect())
}

/// The limits that an expression looks up, or leads to.
pub fn asked(expr: &Expr) -> Option<Scope> {
    match expr {
        Expr::Lookup { set, .. } => of_set(set),
        Expr::Jump(chain) => of_chain(chain),
        _ => None,
    }
}

/// The same as [`read`], as a table shows them.
///
/// # Errors
/// What the kernel refused.
pub fn at(nft: &mut Nft, family: Family, scope: Scope) -> Result<At, Refusal> {
    let intervals = read(nft, family, scope)?;
    let prefixes = intervals.iter().filter_map(|(first, end)| {
        let end = end.and_then(address);
        Some(between(address(first)?, end))
    });
    Ok(At::of(&prefixes.flatten().collect::<Vec<_>>()))
}

/// The addresses of limits.
///
/// # Errors
/// What the kernel refused.
pub fn read(nft: &mut Nft, family: Family, scope: Scope) -> Result<Intervals, Refusal> {
    Intervals::read(nft, shared::place(family), &addresses(scope))
}

/// One address.
pub fn single(addr: IpAddr) -> Intervals {
    intervals(&[Prefix::whole(addr)])
}

#[cfg(test)]
mod tests {
    use super::names::{of_chain, of_set, split};
    use super::*;

    fn jump(chain: &str) -> Rule {
        Rule::new(vec![Expr::Jump(chain.to_owned())])
    }

    #[test]
    fn only_rules_at_the_end_lead_to_limits() {
        let all = ["within_1", "x", "within_2", "within_3"].map(jump).to_vec();
        let mut rules = all.clone();
        assert_eq!(split(&mut rules), all[2..]);
        assert_eq!(rules, all[..2]);
        assert_eq!(split(&mut Vec::new()), []);
    }

    #[test]
    fn the_last_address_is_met_too() {
        let prefix = |text: &str| Prefix::from_text(text).unwrap();
        let all = intervals(&[prefix("240.0.0.0/4")]);
        assert!(all.meets(&single("255.255.255.255".parse().unwrap())));
        assert!(!all.meets(&intervals(&[prefix("10.0.0.0/8")])));
    }

    #[test]
    fn limits_are_known_by_the_names_of_what_they_have() {
        let scope = Scope(0xbad);
        let purpose = Purpose::Hairpin(128);
        let by = By::range(On::Within(scope));
        assert_eq!(of_chain(&chain(scope)), Some(scope));
        for set in [addresses(scope), SetId { purpose, by }.name()] {
            assert_eq!(of_set(&set), Some(scope), "{set}");
        }
        for other in ["hostports", "hostips", "addresses_bad", "addresses_", "x"] {
            assert_eq!(of_set(other), None, "{other}");
        }
    }
}
