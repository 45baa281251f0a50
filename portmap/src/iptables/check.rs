//! CHECK in one IP version.

use common::Drift;
use common::error::{Code, Error};

use super::meaning::Meaning;
use super::observe::{self, own_chains};
use super::rules::{DNAT, Table, Wanted};
use super::state::State;
use super::tool::{Tool, Variant};
use super::{add, kernel};
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
    let mut state = observe_chains(tool, wanted)?;
    if own_chains(&state, &wanted.attachment, evidence).is_empty() {
        // Somebody else may have the usual chain, or there is none at all.
        state = add::read(tool, wanted)?;
    }
    let chain = own_or_usual(&state, wanted, evidence);
    let rivals = observe::rivals(&state, wanted, &chain);
    if !rivals.is_empty() {
        let all: Vec<(Table, &str)> = rivals
            .iter()
            .map(|name| (Table::Nat, name.as_str()))
            .collect();
        let listed = tool
            .list(&all)
            .map_err(|f| f.error(Code::System, "list the chains of others"))?;
        state.merge(listed.unwrap_or_default());
    }
    if let Some(own) = fallback
        && !uses_foreign_mark(&state, wanted, &chain)
    {
        state.merge(add::read(tool, own)?);
    }
    Ok(judge(tool, &state, wanted, fallback, evidence))
}

/// As [`check`], of tables that were read as far as they matter.
pub fn judge(
    tool: &Tool,
    state: &State,
    wanted: &Wanted,
    fallback: Option<&Wanted>,
    evidence: &Evidence,
) -> Vec<Drift> {
    let chain = own_or_usual(state, wanted, evidence);
    let wanted = match fallback {
        Some(own) if !uses_foreign_mark(state, wanted, &chain) => own,
        _ => wanted,
    };
    let mut drifts = observe::drifts(state, wanted, &chain);
    if wanted.conditional && drifts.is_empty() {
        drifts.extend(condition_drift(tool, wanted, &chain, state));
    }
    drifts
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
        Some(variant) => kernel::chains(variant, wanted.family, &names)?,
        None => names.first().cloned().into_iter().collect(),
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
    if let Some(variant) = tool.variant
        && let Some(state) = kernel::read(variant, wanted.family, &chains)?
    {
        return Ok(state);
    }
    // When it fails, `read` fails the same way and says it in full.
    let listed = tool.list(&chains).unwrap_or_default();
    match listed {
        Some(state) => Ok(state),
        None => add::read(tool, wanted),
    }
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

/// How the jumps' conditions differ: iptables alone knows what they mean. There are as many jumps as
/// wanted, and no two of those are alike, so each that is found is another one.
fn condition_drift(tool: &Tool, wanted: &Wanted, chain: &str, state: &State) -> Option<Drift> {
    let actual = match tool.variant {
        Some(Variant::Legacy) => rendered_difference(tool, wanted, chain, state),
        Some(Variant::Nft) | None => asserted_difference(tool, wanted, chain),
    }?;
    let object = format!("conditions of the rules of {DNAT} that lead to {chain}");
    let jumps: Vec<String> = wanted.jumps.iter().map(|jump| jump.to(chain)).collect();
    Some(Drift::new(object, jumps.join(", "), actual))
}

fn asserted_difference(tool: &Tool, wanted: &Wanted, chain: &str) -> Option<String> {
    let jumps = wanted
        .jumps
        .iter()
        .map(|jump| format!("-C {DNAT} {}\n", jump.to(chain)));
    let text = format!("*nat\n{}COMMIT\n", jumps.collect::<String>());
    tool.restore(&text).err().map(|failure| failure.said)
}

/// The legacy ip6tables takes rules for equal that are not, but it prints what it is given. Without a
/// COMMIT nothing of it reaches the kernel.
fn rendered_difference(tool: &Tool, wanted: &Wanted, chain: &str, state: &State) -> Option<String> {
    const SCRATCH: &str = "CNI-HOSTPORT-SCRATCH";
    let jumps = wanted
        .jumps
        .iter()
        .map(|jump| format!("-A {SCRATCH} {}\n", jump.to("RETURN")));
    let text = format!(
        "*nat\n-N {SCRATCH}\n{}-S {SCRATCH}\n",
        jumps.collect::<String>()
    );
    let printed = match tool.restore(&text) {
        Ok(printed) => printed,
        Err(failure) if failure.printed.is_empty() => return Some(failure.said),
        Err(failure) => failure.printed,
    };
    let rendered = State::from_listing(&printed);
    // A jump to a chain is not printed before it is committed; targets were compared before.
    let mut standing: Vec<_> = observe::jumps_to(state, chain)
        .map(|s| Meaning::of(&s.rule).matches)
        .collect();
    for rule in rendered.chain(SCRATCH).unwrap_or(&[]) {
        let matches = Meaning::of(rule).matches;
        match standing.iter().position(|other| *other == matches) {
            Some(place) => drop(standing.remove(place)),
            None => return Some(format!("none like {rule}")),
        }
    }
    (!standing.is_empty()).then(|| "others".to_owned())
}
