//! The iptables backend: the verbs over both IP versions and both variants.
//!
//! One program per IP version and verb, IPv4 and IPv6 side by side.

mod add;
mod check;
mod conflict;
#[cfg(fuzzing)]
pub mod fuzzed;
mod kernel;
mod list;
mod many;
mod meaning;
mod observe;
mod owner;
mod remove;
mod rules;
mod shadow;
mod state;
mod tool;
mod transaction;
mod translation;
mod words;
mod write;

use std::thread;

use common::error::{Code, Error};
use common::log::Log;
use common::netconf::ValidAttachment;
use common::{Attachment, Drift};

use crate::config::{Backend, Config, DEFAULT_MARK_BIT, Evidence, Mark};
use crate::host_port::{HostPort, unmapped};
use crate::mapping::Family;
use crate::plan::Plan;
use rules::{Wanted, wanted};
use tool::{Tool, Variant};

pub use add::Undo;
pub use list::list;
pub use many::{Tables, add as add_many, is_plain};
pub use translation::Translation;

/// Whether the programs are there.
pub fn is_installed() -> bool {
    Family::ALL.into_iter().any(Tool::is_installed)
}

/// Applies a plan in both IP versions or in none, and gives what takes it back. IPv6 is left out, with
/// a warning, where this node cannot translate it and IPv4 is done.
///
/// # Errors
/// As [`add::add`] of the first IP version that fails; nothing is changed then.
pub fn add(plan: &Plan, config: &Config, log: &Log) -> Result<Vec<Undo>, Error> {
    let evidence = Evidence::of_config(config);
    let outcomes = each(&all_wanted(plan, config), |wanted, family| {
        add_with_mark((family, wanted), plan, config, &evidence, log)
    });
    let (mut done, mut failed, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (forwards, outcome) in plan.families.iter().zip(outcomes) {
        match outcome {
            Ok(undo) => done.push(undo),
            Err(error) if may_be_left_out(forwards.family, &error) => missing.push(error),
            Err(error) => failed.push(error),
        }
    }
    if done.is_empty() || !failed.is_empty() {
        let undone = undo(done);
        failed.extend(missing);
        failed.extend(undone.err());
        return match Error::all(failed) {
            Some(error) => Err(error),
            None => Ok(Vec::new()),
        };
    }
    for (family, variant) in unplanned(plan) {
        if let Err(error) = remove::del(family, variant, &plan.attachment, &evidence) {
            return Err(match undo(done) {
                Ok(()) => error,
                Err(also) => error.and(also),
            });
        }
    }
    missing.iter().for_each(|error| log.warn(error));
    Ok(done)
}

/// The IP versions of which a plan wants nothing, though an earlier request may have.
fn unplanned(plan: &Plan) -> impl Iterator<Item = (Family, Variant)> {
    let families = Family::ALL.into_iter();
    let families = families.filter(|family| plan.family(*family).is_none());
    families.filter_map(|family| Some((family, Tool::usual(family)?.variant?)))
}

/// Whether an IP version may do without its rules: many a node has no IPv6, but none that maps ports
/// has no IPv4.
fn may_be_left_out(family: Family, error: &Error) -> bool {
    family == Family::V6 && error.code == Code::Unsupported
}

/// Takes changes back, as far as possible.
///
/// # Errors
/// Everything that could not be taken back.
pub fn undo(done: Vec<Undo>) -> Result<(), Error> {
    let errors = done
        .into_iter()
        .filter_map(|undo| undo.run().err())
        .collect();
    Error::all(errors).map_or(Ok(()), Err)
}

/// How the tables differ from a plan. Those that were read already are not read again.
///
/// # Errors
/// As [`check::check`].
pub fn check(plan: &Plan, config: &Config, tables: &Tables) -> Result<Vec<Drift>, Error> {
    let evidence = Evidence::of_config(config);
    let outcomes = each(&all_wanted(plan, config), |wanted, family| {
        let fallback = own_mark(plan, config, family);
        match tables.of(family) {
            Some((tool, state)) => {
                let fallback = fallback.as_ref();
                Ok(check::judge(tool, state, wanted, fallback, &evidence))
            }
            None => check::check(&usual(family)?, wanted, fallback.as_ref(), &evidence),
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
    for (family, variant) in unplanned(plan) {
        match remove::left(family, variant, &plan.attachment, &evidence) {
            Ok(chains) => drifts.extend(chains.into_iter().map(|chain| {
                let object = format!("chain {chain} of table nat ({family})");
                Drift::new(object, "none", "present")
            })),
            Err(error) => errors.push(error),
        }
    }
    // ADD left out the same IP version.
    if checked == 0 {
        errors.extend(missing);
    }
    Error::all(errors).map_or(Ok(drifts), Err)
}

/// Removes what an attachment has, in both variants, and says what it was; `None` for nothing.
/// `evidence` is what the request says of its mappings, as far as it can be understood.
///
/// # Errors
/// Everything that could not be removed.
pub fn del(
    attachment: &Attachment,
    evidence: &Evidence,
    log: &Log,
) -> Result<Vec<Translation>, Error> {
    everywhere(log, |family, variant| {
        remove::del(family, variant, attachment, evidence)
    })
}

/// Removes what attachments of a network have that are not valid, in both variants, and says what
/// it was.
///
/// # Errors
/// Everything that could not be removed.
pub fn gc(network: &str, valid: &[ValidAttachment], log: &Log) -> Result<Vec<Translation>, Error> {
    let mut alive: Vec<String> = Vec::new();
    for ValidAttachment { container, ifname } in valid {
        let attachment = Attachment {
            network: network.to_owned(),
            container: container.clone(),
            ifname: ifname.clone(),
        };
        alive.push(owner::comment(&attachment));
        // The reference's mark says nothing about the interface.
        alive.push(owner::reference_comment(&attachment));
    }
    let is_valid = |comment: &str| alive.iter().any(|known| known == comment);
    everywhere(log, |family, variant| {
        remove::gc(family, variant, network, is_valid)
    })
}

/// Whether ADD could work: the programs are there and know the nat table.
///
/// # Errors
/// Code 50 with what is missing. IPv6 may be missing.
pub fn status() -> Result<(), Error> {
    let not_available = |error: Error| {
        let details = error.to_string();
        Error::new(Code::NotAvailable, "the iptables backend cannot work").with_details(details)
    };
    let tool = usual(Family::V4).map_err(not_available)?;
    let chains = [
        (rules::Table::Nat, "PREROUTING"),
        (rules::Table::Nat, "OUTPUT"),
    ];
    tool.probe(&chains)
        .map_err(|failure| not_available(failure.error(Code::NotAvailable, "list the nat table")))
}

fn usual(family: Family) -> Result<Tool, Error> {
    Tool::usual(family).ok_or_else(|| {
        let program = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        Error::new(Code::Unsupported, format!("{program} is not installed"))
    })
}

fn all_wanted(plan: &Plan, config: &Config) -> Vec<Wanted> {
    let of = |forwards| wanted(&plan.attachment, plan.masquerade, &config.mark, forwards);
    plan.families.iter().map(of).collect()
}

/// What is wanted when the foreign chain that should mark packets is missing.
fn own_mark(plan: &Plan, config: &Config, family: Family) -> Option<Wanted> {
    match config.mark {
        Mark::Bit(_) => None,
        Mark::Chain(_) => plan.family(family).map(|forwards| {
            let mark = Mark::Bit(DEFAULT_MARK_BIT);
            wanted(&plan.attachment, plan.masquerade, &mark, forwards)
        }),
    }
}

fn add_with_mark(
    (family, first): (Family, &Wanted),
    plan: &Plan,
    config: &Config,
    evidence: &Evidence,
    log: &Log,
) -> Result<Undo, Error> {
    let tool = usual(family)?;
    let mut wanted = first.clone();
    if let (Mark::Chain(name), Some(own)) = (&config.mark, own_mark(plan, config, family))
        && own.own != first.own
        && !tool.has_chain(name)?
    {
        log.warn(format!(
            "externalSetMarkChain {name} does not exist ({family}), marking packets with bit {DEFAULT_MARK_BIT}"
        ));
        wanted = own;
    }
    add::add(tool, &wanted, evidence, config.on_conflict)
}

/// Runs one action per IP version, side by side.
fn each<T: Send>(
    wanted: &[Wanted],
    action: impl Fn(&Wanted, Family) -> Result<T, Error> + Sync,
) -> Vec<Result<T, Error>> {
    let one = |w: &Wanted| action(w, w.family);
    match wanted {
        [first, second] => {
            let (outcome, other) = side_by_side(|| one(first), || one(second));
            vec![outcome, other.unwrap_or_else(lost)]
        }
        others => others.iter().map(one).collect(),
    }
}

/// Runs two actions side by side, or one after the other where the node has no thread to give.
fn side_by_side<T: Send>(
    first: impl FnOnce() -> T,
    second: impl Fn() -> T + Sync,
) -> (T, Option<T>) {
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, &second);
        let done = first();
        match other {
            Ok(other) => (done, other.join().ok()),
            Err(_) => (done, Some(second())),
        }
    })
}

fn lost<T>() -> Result<T, Error> {
    Err(Error::new(
        Code::System,
        "a thread of the plugin ended by accident",
    ))
}

/// Runs a removal in every variant and IP version, and carries on after failures.
fn everywhere(
    log: &Log,
    action: impl Fn(Family, Variant) -> Result<Option<Vec<Translation>>, Error> + Sync,
) -> Result<Vec<Translation>, Error> {
    let one = |family| [Variant::Nft, Variant::Legacy].map(|variant| action(family, variant));
    let (outcomes, others) = side_by_side(|| one(Family::V4), || one(Family::V6));
    let others = others.map_or_else(|| vec![lost()], Vec::from);
    let outcomes = outcomes.into_iter().chain(others);
    let (mut removed, mut errors): (Option<Vec<_>>, _) = (None, Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(Some(some)) => removed.get_or_insert_default().extend(some),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if let Some(removed) = &removed {
        let ports = removed.iter().map(HostPort::from);
        log.changed(unmapped(ports, Backend::Iptables.name()));
    }
    Error::all(errors).map_or(Ok(removed.unwrap_or_default()), Err)
}
