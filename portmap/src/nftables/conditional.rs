//! The rules of an attachment with conditions: one that tests them, and leads to a chain with its
//! forwards.

use std::collections::BTreeMap;

use common::error::Error;
use common::sys::netlink::Refusal;
use common::{Attachment, Drift, Family};
use nft::command::{Action, Command};
use nft::compiled::{self, Compiled, Whole};
use nft::expr::Expr;
use nft::object::{Chain, Rule};
use nft::socket::Nft;

use super::layout::CONDITIONS;
use super::{conditions, owner, private, shared};
use crate::plan::Plan;

/// The number of a batch's first set that a condition has for itself: no batch has as many commands.
const FIRST_SET: u32 = 1 << 24;

/// The sets of one IP version's condition follow each other.
fn first_set(family: Family) -> u32 {
    FIRST_SET + (u32::from(family.nf_number()) << 20)
}

/// What an attachment with conditions wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditional {
    /// The rules of its chain.
    rules: Vec<Rule>,
    /// Its conditions.
    test: Compiled,
}

/// What there is of it.
#[derive(Debug)]
pub struct Present {
    /// The rules of its chain, where there is one.
    chain: Option<Vec<Rule>>,
    /// The rules that have its mark or lead to its chain.
    tests: Vec<Whole>,
    /// The handles of the rules of other containers, in their order. The first match decides.
    others: Vec<u64>,
    /// How many of them are before its own.
    before: usize,
}

/// Where an attachment's rule is to be among those of other containers.
#[derive(Debug, Clone, Copy)]
pub enum Order<'a> {
    /// Before them, as the newest.
    First,
    /// Where it was: behind these, by their handles, as far as they are still there.
    Behind(&'a [u64]),
}

/// What a plan wants, by IP version: nothing where it has no conditions.
///
/// # Errors
/// Code 7 for words that are not conditions, 103 without nft.
pub fn of_plan(plan: &Plan) -> Result<BTreeMap<Family, Conditional>, Error> {
    let mut all = BTreeMap::new();
    for forwards in &plan.families {
        if !forwards.conditions.is_empty() {
            let rules = private::rules(forwards, plan.masquerade);
            let test = conditions::compile(forwards.family, &forwards.conditions)?;
            all.insert(forwards.family, Conditional { rules, test });
        }
    }
    Ok(all)
}

/// Reads what there is.
///
/// # Errors
/// What the kernel refused.
pub fn observe(nft: &mut Nft, family: Family, attachment: &Attachment) -> Result<Present, Refusal> {
    let place = shared::place(family);
    let name = private::chain(attachment);
    if nft.chains(place, &[&name])?.iter().all(Option::is_none) {
        // Without the chain, no rule leads there.
        return Ok(Present {
            chain: None,
            tests: Vec::new(),
            others: Vec::new(),
            before: 0,
        });
    }
    let owner = owner::text(attachment);
    let (mut tests, mut others, mut before) = (Vec::new(), Vec::new(), 0);
    for test in compiled::rules(nft, place, CONDITIONS)? {
        let comment = test.rule.comment.as_deref();
        if comment == Some(owner.as_str()) || test.rule.leads_to(&name) {
            if tests.is_empty() {
                before = others.len();
            }
            tests.push(test);
        } else if !comment.is_some_and(|other| owner::is_same_container(other, &owner)) {
            others.push(test.rule.handle);
        }
    }
    let chain = Some(nft.rules(place, &name)?);
    Ok(Present {
        chain,
        tests,
        others,
        before,
    })
}

/// What of it can be written again.
impl From<Present> for Option<Conditional> {
    fn from(present: Present) -> Option<Conditional> {
        let rules = present.chain?;
        let is_known = |rule: &Rule| !rule.exprs.iter().any(|e| matches!(e, Expr::Other(_)));
        let [test] = <[Whole; 1]>::try_from(present.tests).ok()?;
        let test = test.compiled;
        (rules.iter().all(is_known) && test.judge().is_ok()).then_some(Conditional { rules, test })
    }
}

impl Present {
    /// The handles of the rules of other containers before its own.
    pub fn before(&self) -> &[u64] {
        self.others.get(..self.before).unwrap_or_default()
    }

    /// The handle of the rule of another container that its own is to be behind.
    fn behind(&self, order: Order<'_>) -> Option<u64> {
        match order {
            Order::First => None,
            Order::Behind(before) => {
                let mut before = before.iter().rev().copied();
                before.find(|handle| self.others.contains(handle))
            }
        }
    }

    fn is_tested_as(&self, test: &Compiled, chain: &str, owner: &str) -> bool {
        matches!(self.tests.as_slice(), [one] if one.compiled == *test
            && one.rule.leads_to(chain)
            && one.rule.comment.as_deref() == Some(owner))
    }

    /// Whether its chain leads packets to the same places, whatever it has counted.
    fn forwards_as(&self, rules: &[Rule]) -> bool {
        let chain = self.chain.as_ref();
        chain.is_some_and(|chain| {
            let mut pairs = chain.iter().zip(rules);
            chain.len() == rules.len() && pairs.all(|(a, b)| a.does_as(b))
        })
    }
}

/// Makes what there is into what is wanted. What is there already is left alone.
pub fn commands(
    family: Family,
    attachment: &Attachment,
    present: &Present,
    (wanted, order): (Option<&Conditional>, Order<'_>),
) -> Vec<Command> {
    let place = shared::place(family);
    let (name, owner) = (private::chain(attachment), owner::text(attachment));
    let mut actions = Vec::new();
    let mut tests = Vec::new();
    let behind = present.behind(order);
    let is_tested = wanted.is_some_and(|w| present.is_tested_as(&w.test, &name, &owner));
    if !is_tested || present.before().last().copied() != behind {
        actions.extend(present.tests.iter().map(|test| Action::DeleteRule {
            chain: CONDITIONS.to_owned(),
            handle: Some(test.rule.handle),
        }));
        let test = wanted.map(|w| &w.test);
        tests.extend(test.map(|test| {
            let to = (CONDITIONS, behind);
            test.commands(place, to, &name, &owner, first_set(family))
        }));
    }
    match wanted {
        Some(wanted) => actions.extend(chain(&name, present, &wanted.rules)),
        None if present.chain.is_some() => actions.push(Action::DeleteChain(name)),
        None => {}
    }
    let command = |action| Command { place, action };
    let actions = actions.into_iter().map(command);
    actions.chain(tests.into_iter().flatten()).collect()
}

/// Makes the chain as it has to be.
fn chain(name: &str, present: &Present, rules: &[Rule]) -> Vec<Action> {
    if present.forwards_as(rules) {
        return Vec::new();
    }
    let chain = name.to_owned();
    let first = match present.chain {
        None => Action::AddChain(Chain {
            name: chain,
            base: None,
        }),
        Some(_) => Action::DeleteRule {
            chain,
            handle: None,
        },
    };
    let add = |rule: &Rule| Action::AddRule {
        chain: name.to_owned(),
        rule: rule.clone(),
        first: false,
    };
    [first].into_iter().chain(rules.iter().map(add)).collect()
}

/// How what there is differs from what is wanted.
pub fn drifts(
    family: Family,
    attachment: &Attachment,
    words: &[String],
    present: &Present,
    wanted: &Conditional,
) -> Vec<Drift> {
    let table = shared::table_name(family);
    let (name, owner) = (private::chain(attachment), owner::text(attachment));
    let object = format!("chain {name} of {table}");
    let Some(chain) = &present.chain else {
        return vec![Drift::new(object, "present", "missing").of_missing("chain")];
    };
    let mut drifts = Vec::new();
    if !present.forwards_as(&wanted.rules) {
        drifts.push(Drift::new(object, shown(&wanted.rules), shown(chain)));
    }
    if !present.is_tested_as(&wanted.test, &name, &owner) {
        let object = format!("rule of {owner} in chain {CONDITIONS} of {table}");
        let actual = match present.tests.as_slice() {
            [one] => one.rule.to_string(),
            many => format!("{} rules", many.len()),
        };
        drifts.push(Drift::new(object, words.join(" "), actual));
    }
    drifts
}

fn shown(rules: &[Rule]) -> String {
    let texts: Vec<String> = rules.iter().map(Rule::to_string).collect();
    format!("{} rules ({})", rules.len(), texts.join(", "))
}
