//! The iptables backend: the verbs over both IP versions and both variants.
//!
//! The nf_tables variant is written by netlink batches ([`native`]), the legacy one by a program for each
//! IP version, IPv4 and IPv6 side by side.

mod add;
mod by_place;
mod check;
mod compiled;
mod conflict;
#[cfg(fuzzing)]
pub mod fuzzed;
mod kernel;
mod list;
mod many;
mod native;
mod observe;
mod order;
mod owner;
mod refusal;
mod remove;
mod rules;
mod shadow;
mod tool;
mod translation;
mod write;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;

use common::error::{Code, Error};
use common::log::Log;
use common::netconf::ValidAttachment;
use common::result::Prefix;
use common::{Attachment, Drift, Family, Protocol};
use xtables::{Table, Variant};

use crate::config::{Config, Evidence};
use crate::host_port::{Forward, HostPort, unmapped};
use crate::mapping::PortMapping;
use crate::options::{Backend, DEFAULT_MARK_BIT, Mark};
use crate::plan::Plan;
use compiled::Compiled;
use rules::{Wanted, wanted};
use tool::Tool;

pub use list::list;
pub use many::{Tables, add as add_many, is_plain};

/// Whether the programs are there.
///
/// # Errors
/// As [`Tool::usual`].
pub fn is_installed() -> Result<bool, Error> {
    Ok(Tool::usual(Family::V4)?.is_some() || Tool::usual(Family::V6)?.is_some())
}

/// What takes an ADD back.
#[derive(Debug)]
pub enum Undo {
    /// By a program.
    Program(add::Undo),
    /// By a batch.
    Native(native::Undo),
}

impl Undo {
    /// Whether there was anything to change.
    pub fn is_change(&self) -> bool {
        match self {
            Undo::Program(undo) => undo.is_change(),
            Undo::Native(undo) => undo.is_change(),
        }
    }

    fn run(self) -> Result<(), Error> {
        match self {
            Undo::Program(undo) => undo.run(),
            Undo::Native(undo) => undo.run(),
        }
    }
}

/// Applies a plan in both IP versions or in none, and gives what takes it back. IPv6 is left out, with
/// a warning, where this node cannot translate it and IPv4 is done.
///
/// # Errors
/// As [`native::add`] and [`add::add`] of the first IP version that fails; nothing is changed then.
pub fn add(plan: &Plan, config: &Config, log: &Log) -> Result<Vec<Undo>, Error> {
    let (native, by_program) = split(plan.families.iter().map(|forwards| forwards.family))?;
    refuse_early(plan, config, &by_program)?;
    let (mut done, mut failed, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    if !native.is_empty() {
        let added = native::add(plan, config, &native)?;
        added.warnings.iter().for_each(|warning| log.warn(warning));
        done.push(Undo::Native(added.undo));
        missing.extend(added.missing);
    }
    let evidence = Evidence::of_config(config);
    let outcomes = each(&all_wanted(plan, config, &by_program), |wanted, family| {
        add_with_mark((family, wanted), plan, config, &evidence, log)
    });
    for (family, outcome) in by_program.iter().zip(outcomes) {
        match outcome {
            Ok(undo) => done.push(Undo::Program(undo)),
            Err(error) if may_be_left_out(*family, &error) => missing.push(error),
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
    if let Err(error) = leave_unplanned(plan, &evidence, !native.is_empty()) {
        return Err(match undo(done) {
            Ok(()) => error,
            Err(also) => error.and(also),
        });
    }
    missing.iter().for_each(|error| log.warn(error));
    Ok(done)
}

/// Refuses conditions that are no tests before anything is written in the other IP version: what all
/// attachments share would stay there.
fn refuse_early(plan: &Plan, config: &Config, by_program: &[Family]) -> Result<(), Error> {
    if plan.families.len() < 2 {
        return Ok(());
    }
    let by_program = by_program.iter().copied();
    let mut conditional = by_program.filter(|family| !config.conditions(*family).is_empty());
    conditional.try_for_each(|family| match try_conditions(config, family) {
        Err(error) if may_be_left_out(family, &error) => Ok(()),
        outcome => outcome,
    })
}

/// Removes what an attachment has in IP versions of which its plan wants nothing, unless a batch did.
fn leave_unplanned(plan: &Plan, evidence: &Evidence, in_batch: bool) -> Result<(), Error> {
    for (family, variant) in unplanned(plan)? {
        match variant {
            Variant::Legacy => drop(remove::del(family, &plan.attachment, evidence)?),
            Variant::Nft if in_batch => {}
            Variant::Nft => drop(native::del(&plan.attachment, evidence, &[family])?),
        }
    }
    Ok(())
}

/// The variant in which an IP version is written; `None` where its program does not tell. Without any program
/// it is that of the kernel's nf_tables, which needs none.
fn variant(family: Family) -> Result<Option<Variant>, Error> {
    let all = [family, family.other()].map(Tool::usual);
    let [own, other] = all;
    Ok(match (own?, other?) {
        (Some(tool), _) => tool.variant,
        (None, Some(other)) => other.variant.filter(|variant| *variant == Variant::Nft),
        (None, None) => Some(Variant::Nft),
    })
}

/// What reads an IP version; only conditions and the legacy variant need a program for that.
fn reader(family: Family, is_conditional: bool) -> Result<Tool, Error> {
    match variant(family)? {
        Some(Variant::Nft) if !is_conditional => Ok(Tool::without_program(family)),
        _ => usual(family),
    }
}

/// The IP versions that are written by batches, and those that a program writes.
fn split(families: impl Iterator<Item = Family>) -> Result<(Vec<Family>, Vec<Family>), Error> {
    let (mut native, mut by_program) = (Vec::new(), Vec::new());
    for family in families {
        match variant(family)? {
            Some(Variant::Nft) => native.push(family),
            Some(Variant::Legacy) | None => by_program.push(family),
        }
    }
    Ok((native, by_program))
}

/// The IP versions of which a plan wants nothing, though an earlier request may have.
fn unplanned(plan: &Plan) -> Result<Vec<(Family, Variant)>, Error> {
    let mut unplanned = Vec::new();
    for family in Family::ALL {
        if plan.family(family).is_none() {
            unplanned.extend(variant(family)?.map(|variant| (family, variant)));
        }
    }
    Ok(unplanned)
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
    let outcomes = each(&all_wanted(plan, config, &Family::ALL), |wanted, family| {
        let fallback = own_mark(plan, config, family);
        match tables.of(family) {
            Some((tool, state)) => {
                let fallback = fallback.as_ref();
                check::judge(tool, state, wanted, fallback, &evidence)
            }
            None => {
                let tool = reader(family, wanted.conditional)?;
                check::check(&tool, wanted, fallback.as_ref(), &evidence)
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
    for (family, variant) in unplanned(plan)? {
        let left = match variant {
            Variant::Legacy => remove::left(family, &plan.attachment, &evidence),
            Variant::Nft => native::left(family, &plan.attachment, &evidence),
        };
        match left {
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
pub fn del(attachment: &Attachment, evidence: &Evidence, log: &Log) -> Result<Vec<Forward>, Error> {
    let native = native::del(attachment, evidence, &Family::ALL);
    everywhere(log, native, |family| {
        remove::del(family, attachment, evidence)
    })
}

/// Removes what attachments of a network have that are not valid, in both variants, and says what
/// it was.
///
/// # Errors
/// Everything that could not be removed.
pub fn gc(network: &str, valid: &[ValidAttachment], log: &Log) -> Result<Vec<Forward>, Error> {
    let mut alive: BTreeSet<String> = BTreeSet::new();
    for ValidAttachment { container, ifname } in valid {
        let attachment = Attachment {
            network: network.to_owned(),
            container: container.clone(),
            ifname: ifname.clone(),
        };
        alive.insert(owner::comment(&attachment));
        // The reference's mark says nothing about the interface.
        alive.insert(owner::reference_comment(&attachment));
    }
    let is_valid = |comment: &str| alive.contains(comment);
    let native = native::gc(network, is_valid);
    let swept = compiled::sweep();
    let removed = everywhere(log, native, |family| remove::gc(family, network, is_valid));
    match (removed, swept) {
        (removed, Ok(())) => removed,
        (Ok(_), Err(error)) => Err(error),
        (Err(error), Err(also)) => Err(error.and(also)),
    }
}

/// Whether ADD could work: the kernel takes the rules, or the legacy programs are there and know the nat
/// table.
///
/// # Errors
/// Code 50 with what is missing; for conditions as [`Compiled::of`]. IPv6 may be missing.
pub fn status(config: &Config) -> Result<(), Error> {
    let not_available = |error: Error| {
        let details = error.to_string();
        Error::new(Code::NotAvailable, "the iptables backend cannot work").with_details(details)
    };
    match variant(Family::V4)? {
        Some(Variant::Nft) => {
            let any = of_any(config, Family::V4);
            native::probe(&Plan::new(&any), &any).map_err(not_available)?;
        }
        Some(Variant::Legacy) | None => {
            let chains = ["PREROUTING", "OUTPUT"].map(|chain| (Table::Nat, chain));
            let tool = usual(Family::V4).map_err(not_available)?;
            tool.probe(&chains).map_err(|failure| {
                not_available(failure.error(Code::NotAvailable, "list the nat table"))
            })?;
        }
    }
    let conditional = Family::ALL.into_iter();
    let mut conditional = conditional.filter(|family| !config.conditions(*family).is_empty());
    conditional.try_for_each(|family| match try_conditions(config, family) {
        Err(error) if family == Family::V4 && error.code == Code::Unsupported => {
            Err(not_available(error))
        }
        Err(error) if may_be_left_out(family, &error) => Ok(()),
        outcome => outcome,
    })
}

/// The configuration of any attachment of a network, in one IP version.
fn of_any(config: &Config, family: Family) -> Config {
    let any = Prefix {
        addr: match family {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        },
        len: 0,
    };
    let port = PortMapping {
        asked: HostPort {
            protocol: Protocol::Tcp,
            address: None,
            number: 1,
        },
        container_port: 1,
    };
    Config {
        mappings: vec![port],
        container_v4: Some(any).filter(|_| family == Family::V4),
        container_v6: Some(any).filter(|_| family == Family::V6),
        ..config.clone()
    }
}

/// Whether an attachment can have the conditions of an IP version.
fn try_conditions(config: &Config, family: Family) -> Result<(), Error> {
    let one = of_any(config, family);
    let wanted = all_wanted(&Plan::new(&one), &one, &[family]);
    wanted
        .iter()
        .try_for_each(|wanted| Compiled::of(&usual(family)?, wanted).map(drop))
}

fn usual(family: Family) -> Result<Tool, Error> {
    Tool::usual(family)?.ok_or_else(|| {
        let program = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        Error::new(Code::Unsupported, format!("{program} is not installed"))
    })
}

fn all_wanted(plan: &Plan, config: &Config, families: &[Family]) -> Vec<Wanted> {
    let of = |forwards| wanted(&plan.attachment, plan.masquerade, &config.mark, forwards);
    let forwards = families.iter().filter_map(|family| plan.family(*family));
    forwards.map(of).collect()
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
) -> Result<add::Undo, Error> {
    let tool = usual(family)?;
    let mut wanted = first.clone();
    if let (Mark::Chain(name), Some(own)) = (&config.mark, own_mark(plan, config, family))
        && own.own != first.own
        && !tool.has_chain(name)?
    {
        log.warn(native::no_mark_chain(name, family));
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
        "a thread of the plugin ended unexpectedly",
    ))
}

type Removed = Result<Option<Vec<Forward>>, Error>;

/// Runs a removal in the legacy variant too, and carries on after failures.
fn everywhere(
    log: &Log,
    native: Removed,
    action: impl Fn(Family) -> Removed + Sync,
) -> Result<Vec<Forward>, Error> {
    let (outcome, other) = side_by_side(|| action(Family::V4), || action(Family::V6));
    let outcomes = [native, outcome, other.unwrap_or_else(lost)];
    let (mut removed, mut errors): (Option<Vec<_>>, _) = (None, Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(Some(some)) => removed.get_or_insert_default().extend(some),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if let Some(removed) = &removed {
        let ports = removed.iter().map(|forward| forward.port);
        log.changed(unmapped(ports, Backend::Iptables.name()));
    }
    Error::all(errors).map_or(Ok(removed.unwrap_or_default()), Err)
}
