//! How the tables differ from a plan, IP version by IP version.

use common::error::Error;
use common::log::Log;
use common::{Drift, Family};
use nft::socket::Nft;
use xtables::Variant;
use xtables::meaning::Meaning;
use xtables::state::State;

use super::compiled::Compiled;
use super::families::{Variants, each, may_be_left_out};
use super::observe::Tables;
use super::rules::{DNAT, Wanted, all_wanted, own_mark};
use super::standing::{self, own_or_usual};
use super::tool::Tool;
use super::{add, doubts, drift, native, remove, theirs};
use crate::config::{Config, Evidence};
use crate::plan::Plan;

/// How the tables differ from a plan. Those that were read already are not read again.
///
/// # Errors
/// As [`check`].
pub fn diff(
    tables: &Tables,
    (plan, config): (&Plan, &Config),
    log: &Log,
) -> Result<Vec<Drift>, Error> {
    let evidence = theirs::likely(&plan.attachment, Evidence::of_config(config))?;
    let variants = tables.variants.map_or_else(Variants::find, Ok)?;
    let outcomes = each(&all_wanted(plan, config, &Family::ALL), |wanted, family| {
        let fallback = own_mark(plan, config, family);
        match tables.of(family) {
            Some(whole) => {
                let (tool, fallback) = (&whole.tool, fallback.as_ref());
                let judge = |state: &State| judge((tool, log), state, wanted, fallback, &evidence);
                let ports = wanted.ports.iter().map(|one| one.port.number);
                whole.excerpts().look(&wanted.attachment, ports, judge)
            }
            None => {
                let tool = variants.reader(family, wanted.conditional)?;
                check((&tool, log), wanted, fallback.as_ref(), &evidence)
            }
        }
    });
    let (mut drifts, mut errors, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut checked = 0;
    for (forwards, outcome) in plan.families.iter().zip(outcomes) {
        match outcome {
            Ok(found) => {
                checked += 1;
                drifts.extend(found);
            }
            Err(error) if may_be_left_out(forwards.family, &error) => missing.push(error),
            Err(error) => errors.push(error),
        }
    }
    for (family, variant) in variants.unplanned(plan) {
        let owner = &plan.attachment;
        let left = |state: &State| standing::left(state, owner, &evidence);
        let chains = match (tables.of(family), variant) {
            (Some(whole), _) => Ok(whole.excerpts().look(owner, std::iter::empty(), left)),
            (None, Variant::Legacy) => remove::legacy::look(family, owner).map(|s| left(&s)),
            (None, Variant::Nft) => native::look_at(family, owner).map(|s| left(&s)),
        };
        match chains {
            Ok(chains) => {
                drifts.extend(chains.into_iter().map(|chain| {
                    let object = format!("chain {chain} of table nat ({family})");
                    Drift::new(object, "none", "present")
                }));
            }
            Err(error) => errors.push(error),
        }
    }
    // ADD left out the same IP version.
    if checked == 0 {
        errors.extend(missing);
    }
    Error::all(errors).map_or(Ok(drifts), Err)
}

/// How one IP version's tables differ from what is wanted. `fallback` is what is wanted where the
/// foreign chain that marks packets is not used: ADD does without it when it is missing.
///
/// # Errors
/// Code 11 when others hold the lock all the time, 103 when this node has no such table, 100 for
/// anything else.
fn check(
    (tool, log): (&Tool, &Log),
    wanted: &Wanted,
    fallback: Option<&Wanted>,
    evidence: &Evidence,
) -> Result<Vec<Drift>, Error> {
    let mut state = match tool.variant {
        Some(Variant::Nft) => {
            let look = |nft: &mut Nft| native::to_check(nft, wanted, fallback);
            let seen = native::steady(&mut Nft::open()?, look)?;
            return judge((tool, log), &seen.state, wanted, fallback, evidence);
        }
        Some(Variant::Legacy) | None => add::read(tool, wanted)?,
    };
    let chain = own_or_usual(&state, &wanted.attachment, evidence);
    if let Some(own) = fallback
        && !uses_foreign_mark(&state, wanted, &chain)
    {
        state.merge(add::read(tool, own)?);
    }
    judge((tool, log), &state, wanted, fallback, evidence)
}

/// As [`check`], of tables that were read as far as they matter.
///
/// # Errors
/// As [`Compiled::of`].
fn judge(
    (tool, log): (&Tool, &Log),
    state: &State,
    wanted: &Wanted,
    fallback: Option<&Wanted>,
    evidence: &Evidence,
) -> Result<Vec<Drift>, Error> {
    let chain = own_or_usual(state, &wanted.attachment, evidence);
    let wanted = match fallback {
        Some(own) if !uses_foreign_mark(state, wanted, &chain) => own,
        _ => wanted,
    };
    let doubts = doubts::doubts(state, wanted).into_iter();
    doubts.for_each(|doubt| log.warn(doubt));
    let mut drifts = drift::drifts(state, wanted, &chain);
    if wanted.conditional && drifts.is_empty() {
        drifts.extend(condition_drift(tool, wanted, &chain)?);
    }
    Ok(drifts)
}

fn uses_foreign_mark(state: &State, wanted: &Wanted, chain: &str) -> bool {
    let named = wanted
        .own
        .first()
        .map(|rule| Meaning::of(rule).goes_to().to_owned());
    state
        .chain(chain)
        .unwrap_or(&[])
        .iter()
        .any(|rule| Some(Meaning::of(rule).goes_to()) == named.as_deref())
}

/// How the jumps' conditions differ: iptables alone knows what they mean.
fn condition_drift(tool: &Tool, wanted: &Wanted, chain: &str) -> Result<Option<Drift>, Error> {
    if Compiled::of(tool, wanted)?.stand(wanted.family, chain)? {
        return Ok(None);
    }
    if let Some(single) = wanted.singly()
        && Compiled::of(tool, &single)?.stand(wanted.family, chain)?
    {
        return Ok(None);
    }
    let object = format!("conditions of the rules of {DNAT} that lead to {chain}");
    let jumps: Vec<String> = wanted.jumps.iter().map(|jump| jump.to(chain)).collect();
    Ok(Some(Drift::new(object, jumps.join(", "), "others")))
}
