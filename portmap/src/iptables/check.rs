//! CHECK in one IP version.

use common::Drift;
use common::error::Error;
use nft::socket::Nft;
use xtables::meaning::Meaning;
use xtables::state::State;
use xtables::{Table, Variant};

use super::compiled::Compiled;
use super::observe::{self, own_chains};
use super::rules::{DNAT, Wanted};
use super::tool::Tool;
use super::{add, kernel, native};
use crate::config::Evidence;

/// How one IP version's tables differ from what is wanted. `fallback` is what is wanted where the
/// foreign chain that marks packets is not used: ADD does without it when it is missing.
///
/// # Errors
/// Code 11 when others hold the lock all the time, 103 when this node has no such table, 100 for
/// anything else.
pub fn check(
    tool: &Tool,
    wanted: &Wanted,
    fallback: Option<&Wanted>,
    evidence: &Evidence,
) -> Result<Vec<Drift>, Error> {
    let mut state = match tool.variant {
        Some(Variant::Nft) => {
            let look = |nft: &mut Nft| native::look(nft, wanted, fallback);
            let seen = native::steady(&mut Nft::open()?, look)?;
            return judge(tool, &seen.state, wanted, fallback, evidence);
        }
        Some(Variant::Legacy) | None => observe_chains(tool, wanted)?,
    };
    if own_chains(&state, &wanted.attachment, evidence).is_empty() {
        // Somebody else may have the usual chain, or there is none at all.
        state = add::read(tool, wanted)?;
    }
    let chain = own_or_usual(&state, wanted, evidence);
    if let Some(own) = fallback
        && !uses_foreign_mark(&state, wanted, &chain)
    {
        state.merge(add::read(tool, own)?);
    }
    judge(tool, &state, wanted, fallback, evidence)
}

/// As [`check`], of tables that were read as far as they matter.
///
/// # Errors
/// As [`Compiled::of`].
pub fn judge(
    tool: &Tool,
    state: &State,
    wanted: &Wanted,
    fallback: Option<&Wanted>,
    evidence: &Evidence,
) -> Result<Vec<Drift>, Error> {
    let chain = own_or_usual(state, wanted, evidence);
    let wanted = match fallback {
        Some(own) if !uses_foreign_mark(state, wanted, &chain) => own,
        _ => wanted,
    };
    let mut drifts = observe::drifts(state, wanted, &chain);
    if wanted.conditional && drifts.is_empty() {
        drifts.extend(condition_drift(tool, wanted, &chain)?);
    }
    Ok(drifts)
}

/// The attachment's chain, or the one it would usually have.
fn own_or_usual(state: &State, wanted: &Wanted, evidence: &Evidence) -> String {
    let own = own_chains(state, &wanted.attachment, evidence);
    own.into_iter()
        .next()
        .unwrap_or_else(|| wanted.shared_name())
}

/// The chains that matter: from the kernel, or by one program where they all exist.
fn observe_chains(tool: &Tool, wanted: &Wanted) -> Result<State, Error> {
    let names = [wanted.shared_name(), wanted.exact_name()];
    let present = match tool.variant {
        Some(Variant::Legacy) => kernel::chains(wanted.family, &names)?,
        Some(Variant::Nft) | None => names.first().cloned().into_iter().collect(),
    };
    let mut chains: Vec<(Table, &str)> = wanted.chains.clone();
    chains.extend(
        wanted
            .shared
            .iter()
            .map(|shared| (shared.table, shared.chain)),
    );
    chains.extend(present.iter().map(|name| (Table::Nat, name.as_str())));
    chains.sort_unstable();
    chains.dedup();
    if tool.variant == Some(Variant::Legacy)
        && let Some(state) = kernel::read(wanted, &chains)?
    {
        return Ok(state);
    }
    add::read(tool, wanted)
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
    let object = format!("conditions of the rules of {DNAT} that lead to {chain}");
    let jumps: Vec<String> = wanted.jumps.iter().map(|jump| jump.to(chain)).collect();
    Ok(Some(Drift::new(object, jumps.join(", "), "others")))
}
