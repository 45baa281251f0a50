//! The verbs in the nf_tables variant: what is there is read over netlink, and what changes is one batch
//! for both IP versions, which the kernel refuses when another writer was faster.
//!
//! Conditions are tried out by a program, as it alone knows what their words mean: [`conditional`].

mod conditional;
mod look;
mod removal;
mod undo;

use common::Family;
use common::error::{Code, Error};
use common::sys::nla::Nla;
use nft::command::{Action, Command};
use nft::object::Chain;
use nft::socket::Nft;
use nft::uapi;
use nix::errno::Errno;
use nix::libc;
use xtables::Table;
use xtables::nf_tables::batch::{self, Made};
use xtables::nf_tables::{self, Seen};
use xtables::state::State;

use super::conflict::{self, Order};
use super::rules::{Wanted, own_mark, wanted};
use super::trial::{one_port, try_conditions};
use super::{doubts, drift, write};
use crate::config::{Config, Evidence};
use crate::nftables::transaction;
use crate::options::{DEFAULT_MARK_BIT, Mark, OnConflict};
use crate::plan::{Forwards, Plan};
use conditional::Conditional;

pub use look::{steady, to_check, whole};
pub use removal::{dead, del, entries, gc, look_at, may_have};
pub use undo::Undo;

/// The chain with which it is tried whether a table can be had.
const PROBE: &str = "CNI-HOSTPORT-PROBE";

/// Looks, decides and commits.
///
/// # Errors
/// As [`transaction::run`].
fn commit<T>(
    nft: &mut Nft,
    decide: impl FnMut(&mut Nft) -> Result<(Vec<Command>, T), Error>,
) -> Result<T, Error> {
    transaction::run(nft, decide)
}

/// What was done.
#[derive(Debug, Default)]
pub struct Added {
    /// What takes it back.
    pub undo: Undo,
    /// IP versions that this node cannot translate, and that were left out.
    pub missing: Vec<Error>,
    /// What was done otherwise than requested.
    pub warnings: Vec<String>,
}

/// Applies a plan in the given IP versions: all of it or nothing.
///
/// # Errors
/// Code 7 for refused conditions, 11 when the ruleset never holds still, 102 for a port that another
/// attachment has, 103 when this node cannot translate, 100 with what the kernel refused.
pub fn add(
    plan: &Plan,
    config: &Config,
    evidence: &Evidence,
    families: &[Family],
) -> Result<Added, Error> {
    let mut nft = Nft::open()?;
    let error = match add_in(&mut nft, (plan, config), evidence, families) {
        Ok(added) => return Ok(added),
        Err(error) => error,
    };
    let mut lack = |family| match families.contains(&family) {
        true => unsupported(&mut nft, family),
        false => Ok(None),
    };
    match (lack(Family::V4)?, lack(Family::V6)?) {
        // Many a node has no IPv6, but none that maps ports has no IPv4.
        (None, Some(lack)) if families.contains(&Family::V4) => {
            let mut added = add_in(&mut nft, (plan, config), evidence, &[Family::V4])?;
            added.missing.push(lack);
            Ok(added)
        }
        (Some(lack), _) | (None, Some(lack)) => Err(lack),
        (None, None) => {
            refuse_by_hook(plan, config, families)?;
            Err(error)
        }
    }
}

/// Refuses conditions that the kernel takes in a chain that no packet passes, and not behind a hook. That is
/// worth a look only once it has refused something.
fn refuse_by_hook(plan: &Plan, config: &Config, families: &[Family]) -> Result<(), Error> {
    let conditional = families.iter();
    let mut conditional = conditional.filter(|family| !config.conditions(**family).is_empty());
    let one = one_port(plan);
    conditional.try_for_each(|family| match try_conditions(&one, config, *family) {
        Err(error) if error.code == Code::InvalidConfig => Err(error),
        _ => Ok(()),
    })
}

fn add_in(
    nft: &mut Nft,
    (plan, config): (&Plan, &Config),
    evidence: &Evidence,
    families: &[Family],
) -> Result<Added, Error> {
    let planned = || families.iter().filter_map(|family| plan.family(*family));
    let of = |forwards| wanted(&plan.attachment, plan.masquerade, &config.mark, forwards);
    // Nothing that conditions say acts before it is known to be a test.
    let conditional = planned().filter(|forwards| !forwards.conditions.is_empty());
    let conditional: Vec<Conditional> = conditional
        .map(|forwards| Conditional::of(&of(forwards)))
        .collect::<Result<_, _>>()?;
    commit(nft, |nft| {
        let (mut commands, mut added) = (Vec::new(), Added::default());
        for forwards in planned() {
            let (mut wanted, warning) = choose_mark(nft, plan, config, forwards)?;
            added.warnings.extend(warning);
            let mut seen = look::of(nft, &wanted)?;
            refuse_dormant(&seen.state, &wanted)?;
            if config.on_conflict == OnConflict::Error {
                conflict::refuse(&seen.state, &wanted, evidence, Order::Any)?;
            }
            added.warnings.extend(doubts::doubts(&seen.state, &wanted));
            let conditional = conditional.iter().find(|one| one.family == wanted.family);
            let made = match conditional {
                Some(one) => one.made(&seen, &mut wanted, evidence)?,
                None => Made::new(),
            };
            let transaction = write::repair(&seen.state, &wanted, evidence);
            added
                .undo
                .note(&seen, &plan.attachment, evidence, &transaction);
            commands.extend(batch::commands_with(&mut seen, &transaction, &made)?);
        }
        Ok((commands, added))
    })
}

/// Writes what many attachments lack, each as the ones before it leave the tables, in one batch.
///
/// # Errors
/// As [`add`]; also where an attachment needs an ADD of its own. Nothing is changed then.
pub fn add_many(jobs: &[(&Plan, &Config)], families: &[Family]) -> Result<(), Error> {
    commit(&mut Nft::open()?, |nft| {
        let mut commands = Vec::new();
        for family in families {
            let mut seen = Seen::whole(nft, *family, &Table::ALL)?;
            for (plan, config) in jobs {
                let Some(forwards) = plan.family(*family) else {
                    continue;
                };
                let (wanted, _) = choose_mark(nft, plan, config, forwards)?;
                refuse_dormant(&seen.state, &wanted)?;
                let evidence = Evidence::of_config(config);
                let transaction = write::repair(&seen.state, &wanted, &evidence);
                commands.extend(batch::commands(&mut seen, &transaction)?);
            }
        }
        Ok((commands, ()))
    })
}

/// Refuses to write where no packet would meet the rules. Whoever switched a table of iptables off meant all of
/// its rules, so it is not ours to switch it on.
fn refuse_dormant(state: &State, wanted: &Wanted) -> Result<(), Error> {
    let Some(table) = drift::dormant(state, wanted) else {
        return Ok(());
    };
    let table = format!("table {} {}", wanted.family.nft_name(), table.name());
    let msg = format!("{table} is dormant: no packet meets its rules");
    Err(Error::new(Code::System, msg).with_details(format!("`nft add {table}` wakes it")))
}

/// What is wanted, and a warning where the foreign chain that should mark packets is missing.
fn choose_mark(
    nft: &mut Nft,
    plan: &Plan,
    config: &Config,
    forwards: &Forwards,
) -> Result<(Wanted, Option<String>), Error> {
    let family = forwards.family;
    let first = wanted(&plan.attachment, plan.masquerade, &config.mark, forwards);
    let (Mark::Chain(name), Some(own)) = (&config.mark, own_mark(plan, config, family)) else {
        return Ok((first, None));
    };
    let mut is_there =
        || nf_tables::present(nft, family, Table::Nat, &[name]).map(|found| !found.is_empty());
    if own.own == first.own || is_there()? {
        return Ok((first, None));
    }
    let warning = no_mark_chain(name, family);
    Ok((own, Some(warning)))
}

/// The warning of a foreign chain that is missing.
pub fn no_mark_chain(name: &str, family: Family) -> String {
    format!(
        "externalSetMarkChain {name} does not exist ({family}), marking packets with bit {DEFAULT_MARK_BIT}"
    )
}

/// Whether the kernel would take the rules of a plan without conditions; nothing is changed.
///
/// # Errors
/// What it refuses.
pub fn probe(plan: &Plan, config: &Config) -> Result<(), Error> {
    let mut nft = Nft::open()?;
    nft.generation()?;
    let evidence = Evidence::of_config(config);
    for forwards in &plan.families {
        let (wanted, _) = choose_mark(&mut nft, plan, config, forwards)?;
        let refused = steady(&mut nft, |nft| {
            let mut seen = look::of(nft, &wanted)?;
            refuse_dormant(&seen.state, &wanted)?;
            let transaction = write::repair(&seen.state, &wanted, &evidence);
            let commands = batch::commands(&mut seen, &transaction)?;
            let refused = nft.check(&commands)?.into_iter().next();
            Ok(refused.map(|(index, refusal)| {
                let command = commands
                    .get(index)
                    .map_or_else(String::new, Command::to_string);
                Error::new(Code::Unsupported, format!("nf_tables: {command}")).with_details(refusal)
            }))
        })?;
        if let Some(error) = refused {
            return Err(error);
        }
    }
    Ok(())
}

/// What the kernel lacks to translate an IP version; `None` when that is nothing.
///
/// # Errors
/// Code 100 when the kernel does not say.
fn unsupported(nft: &mut Nft, family: Family) -> Result<Option<Error>, Error> {
    let place = nf_tables::place(family, Table::Nat);
    let table = Action::Message {
        kind: uapi::NEWTABLE,
        flags: libc::NLM_F_CREATE,
        attributes: vec![Nla::be32(uapi::TABLE_FLAGS, 0)],
        words: "add table".to_owned(),
    };
    let chain = Action::AddChain(Chain {
        name: PROBE.to_owned(),
        base: nf_tables::base(Table::Nat, "PREROUTING"),
    });
    let commands = [table, chain].map(|action| Command { place, action });
    let refused = nft.check(&commands)?;
    let lacks = |errno| {
        matches!(
            errno,
            Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT
        )
    };
    let lack = refused
        .into_iter()
        .find(|(_, refusal)| lacks(refusal.errno));
    Ok(lack.map(|(_, refusal)| {
        let msg = format!("the kernel has no table {} nat", family.nft_name());
        Error::new(Code::Unsupported, msg).with_details(refusal)
    }))
}
