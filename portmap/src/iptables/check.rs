//! CHECK in one IP version.

use std::net::IpAddr;

use common::Drift;
use common::error::{Code, Error};

use super::meaning::Meaning;
use super::observe::{self, own_chains};
use super::rules::{DNAT, Table, Wanted};
use super::state::State;
use super::tool::{Tool, Variant};
use super::{add, look};

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
    addresses: &[IpAddr],
) -> Result<Vec<Drift>, Error> {
    let mut state = observe_chains(tool, fallback.unwrap_or(wanted), wanted)?;
    let chain = match own_chains(&state, &wanted.attachment, addresses).first() {
        Some(chain) => chain.clone(),
        None => {
            // Somebody else may have the usual chain, or there is none at all.
            state = add::read(tool, wanted)?;
            let own = own_chains(&state, &wanted.attachment, addresses);
            own.first().cloned().unwrap_or_else(|| wanted.shared_name())
        }
    };
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
    let wanted = match fallback {
        Some(own) if !uses_foreign_mark(&state, wanted, &chain) => own,
        _ => wanted,
    };
    let mut drifts = observe::drifts(&state, wanted, &chain);
    if wanted.conditional && drifts.is_empty() {
        drifts.extend(condition_drift(tool, wanted, &chain));
    }
    Ok(drifts)
}

/// The chains that matter, by one program where they all exist.
fn observe_chains(tool: &Tool, own_mark: &Wanted, wanted: &Wanted) -> Result<State, Error> {
    let names = [wanted.shared_name(), wanted.exact_name()];
    let present = match tool.variant {
        Some(Variant::Nft) => look::chains(Variant::Nft, wanted.family, &names),
        Some(Variant::Legacy) | None => names.first().cloned().into_iter().collect(),
    };
    let mut chains: Vec<(Table, &str)> = own_mark.chains.clone();
    chains.extend(
        wanted
            .shared
            .iter()
            .map(|shared| (shared.table, shared.chain)),
    );
    chains.extend(present.iter().map(|name| (Table::Nat, name.as_str())));
    chains.sort_unstable();
    chains.dedup();
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

/// Asks iptables whether the jumps carry the conditions: it alone knows what they mean. There are as
/// many jumps as wanted, and no two of those are alike, so each that it finds is another one.
fn condition_drift(tool: &Tool, wanted: &Wanted, chain: &str) -> Option<Drift> {
    let mut text = "*nat\n".to_owned();
    for jump in &wanted.jumps {
        text += &format!("-C {DNAT} {}\n", jump.to(chain));
    }
    text += "COMMIT\n";
    let failure = tool.restore(&text).err()?;
    let object = format!("conditions of the rules of {DNAT} that lead to {chain}");
    let jumps: Vec<String> = wanted.jumps.iter().map(|jump| jump.to(chain)).collect();
    Some(Drift::new(object, jumps.join(", "), failure.said))
}
