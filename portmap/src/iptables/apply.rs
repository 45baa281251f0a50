//! ADD in both IP versions, or in none.

use common::error::Error;
use common::log::Log;
use common::{Attachment, Family};
use xtables::Variant;

use super::families::{Variants, each, may_be_left_out, usual};
use super::rules::{Wanted, all_wanted, own_mark};
use super::trial::{one_port, try_conditions};
use super::{add, native, remove, theirs, undo};
use crate::backend::{self, Undo as _};
use crate::config::{Config, Evidence};
use crate::options::Mark;
use crate::plan::Plan;
use crate::turn;

/// What rolls back a part of an ADD.
#[derive(Debug)]
pub enum Part {
    /// By a program.
    Program(undo::Undo),
    /// By a batch.
    Native(native::Undo),
}

impl Part {
    /// Whether there was anything to change.
    pub fn is_change(&self) -> bool {
        match self {
            Part::Program(undo) => undo.is_change(),
            Part::Native(undo) => undo.is_change(),
        }
    }

    fn run(self) -> Result<(), Error> {
        match self {
            Part::Program(undo) => undo.run(),
            Part::Native(undo) => undo.run().map_err(backend::not_rolled_back),
        }
    }
}

/// What takes an ADD back.
#[derive(Debug, Default)]
pub struct Undo(Vec<Part>);

impl backend::Undo for Undo {
    fn is_change(&self) -> bool {
        self.0.iter().any(Part::is_change)
    }

    fn run(self) -> Result<(), Error> {
        let errors = self.0.into_iter().filter_map(|part| part.run().err());
        Error::all(errors.collect()).map_or(Ok(()), Err)
    }
}

/// Applies a plan in both IP versions or in none, and gives what takes it back. IPv6 is left out, with
/// a warning, where this node cannot translate it and IPv4 is done.
///
/// # Errors
/// As [`native::add`] and [`add::add`] of the first IP version that fails; nothing is changed then.
pub fn apply(plan: &Plan, config: &Config, log: &Log) -> Result<Undo, Error> {
    let variants = Variants::find()?;
    let families = plan.families.iter().map(|forwards| forwards.family);
    let (native, by_program) = variants.split(families);
    refuse_early(plan, config, &by_program)?;
    let evidence = theirs::known(&plan.attachment, Evidence::of_config(config))?;
    let is_halved = plan.families.len() > 1 && !by_program.is_empty();
    let _turn = is_halved.then(turn::to_write_by_programs);
    let (mut done, mut failed, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    if !native.is_empty() {
        let added = native::add(plan, config, &evidence, &native)?;
        added.warnings.iter().for_each(|warning| log.warn(warning));
        done.push(Part::Native(added.undo));
        missing.extend(added.missing);
    }
    let outcomes = each(&all_wanted(plan, config, &by_program), |wanted, family| {
        add_with_mark((family, wanted), plan, config, &evidence, log)
    });
    for (family, outcome) in by_program.iter().zip(outcomes) {
        match outcome {
            Ok(undo) => done.push(Part::Program(undo)),
            Err(error) if may_be_left_out(*family, &error) => missing.push(error),
            Err(error) => failed.push(error),
        }
    }
    if done.is_empty() || !failed.is_empty() {
        let undone = Undo(done).run();
        failed.extend(missing);
        failed.extend(undone.err());
        return match Error::all(failed) {
            Some(error) => Err(error),
            None => Ok(Undo::default()),
        };
    }
    let undo = remove_from(variants.elsewhere(plan), &plan.attachment, &evidence, done)?;
    missing.iter().for_each(|error| log.warn(error));
    Ok(undo)
}

/// Removes what an owner has in both variants and IP versions, and gives what brings it back.
///
/// # Errors
/// Why it could not be removed; nothing is then, or the error says what could not be brought back.
pub fn leave(owner: &Attachment, evidence: Evidence) -> Result<Undo, Error> {
    let of = |family| [Variant::Nft, Variant::Legacy].map(|variant| (family, variant));
    let places = Family::ALL.into_iter().flat_map(of).collect();
    let evidence = theirs::known(owner, evidence)?;
    remove_from(places, owner, &evidence, Vec::new())
}

/// Removes what the owner of a plan that was applied has where the plan wants nothing.
///
/// # Errors
/// As [`leave`].
pub fn leave_unplanned(variants: Variants, plan: &Plan, config: &Config) -> Result<(), Error> {
    let places = variants.elsewhere(plan);
    let evidence = theirs::known(&plan.attachment, Evidence::of_config(config))?;
    remove_from(places, &plan.attachment, &evidence, Vec::new()).map(drop)
}

/// Refuses conditions that are no tests before anything is written in the other IP version: what all
/// attachments share would stay there.
fn refuse_early(plan: &Plan, config: &Config, by_program: &[Family]) -> Result<(), Error> {
    if plan.families.len() < 2 {
        return Ok(());
    }
    let by_program = by_program.iter().copied();
    let mut conditional = by_program.filter(|family| !config.conditions(*family).is_empty());
    let one = one_port(plan);
    conditional.try_for_each(|family| match try_conditions(&one, config, family) {
        Err(error) if may_be_left_out(family, &error) => Ok(()),
        outcome => outcome,
    })
}

/// Removes what an owner has in some IP versions of some variants, as the last part of an ADD that is undone
/// where that fails.
fn remove_from(
    places: Vec<(Family, Variant)>,
    owner: &Attachment,
    evidence: &Evidence,
    mut done: Vec<Part>,
) -> Result<Undo, Error> {
    match remove_each(places, owner, evidence, &mut done) {
        Ok(()) => Ok(Undo(done)),
        Err(error) => Err(match Undo(done).run() {
            Ok(()) => error,
            Err(also) => error.and(also),
        }),
    }
}

fn remove_each(
    places: Vec<(Family, Variant)>,
    attachment: &Attachment,
    evidence: &Evidence,
    done: &mut Vec<Part>,
) -> Result<(), Error> {
    for (family, variant) in places {
        let may_have = match variant {
            Variant::Legacy => remove::legacy::may_have(family, attachment)?,
            Variant::Nft => native::may_have(&[family], attachment)?,
        };
        if !may_have {
            continue;
        }
        let owners = vec![(attachment.clone(), evidence.clone())];
        let mut undo = undo::Undo::of(family, Some(variant), owners)?;
        let removed = match variant {
            Variant::Legacy => remove::legacy::del(family, attachment, evidence),
            Variant::Nft => native::del(attachment, evidence, &[family]),
        };
        undo.note(matches!(removed, Ok(Some(_))));
        done.push(Part::Program(undo));
        removed?;
    }
    Ok(())
}

fn add_with_mark(
    (family, first): (Family, &Wanted),
    plan: &Plan,
    config: &Config,
    evidence: &Evidence,
    log: &Log,
) -> Result<undo::Undo, Error> {
    let tool = usual(family)?;
    let mut wanted = first.clone();
    if let (Mark::Chain(name), Some(own)) = (&config.mark, own_mark(plan, config, family))
        && own.own != first.own
        && !tool.has_chain(name)?
    {
        log.warn(native::no_mark_chain(name, family));
        wanted = own;
    }
    add::add(&tool, &wanted, evidence, config.on_conflict)
}
