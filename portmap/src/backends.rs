//! The steps of a verb over every backend that is present.

use common::Drift;
use common::error::Error;
use common::log::Log;
use common::netconf::ValidAttachment;
use common::sys::lock::Children;

use crate::backend::{Backend, Gone, Job, Undo as _};
use crate::config::Config;
use crate::host_port::{self, Forward};
use crate::iptables::{self, Iptables};
use crate::limits::Node;
use crate::list::row::Row;
use crate::nftables::Nftables;
use crate::options::{BackendKind, Mark};
use crate::plan::Plan;

/// What rolls back what was done in one backend.
enum Part {
    Iptables(<Iptables as Backend>::Undo),
    Nftables(<Nftables as Backend>::Undo),
}

impl Part {
    /// The name of the backend, where there was anything to change.
    fn changed(&self) -> Option<&'static str> {
        let (is_change, backend) = match self {
            Part::Iptables(undo) => (undo.is_change(), Iptables::KIND),
            Part::Nftables(undo) => (undo.is_change(), Nftables::KIND),
        };
        is_change.then_some(backend.name())
    }

    fn run(self) -> Result<(), Error> {
        match self {
            Part::Iptables(undo) => undo.run(),
            Part::Nftables(undo) => undo.run(),
        }
    }
}

/// What rolls back an ADD: what one backend has, and what the other had.
pub struct Undo {
    made: Part,
    left: Part,
}

impl Undo {
    /// Says which ports are mapped now, unless they were before.
    pub fn tell(&self, plan: &Plan, log: &Log) {
        if let Some(backend) = self.made.changed() {
            let ports = plan.families.iter().flat_map(|family| &family.ports);
            let ports = host_port::list(ports.map(|forward| forward.port));
            log.changed(format!("mapped {ports} by {backend}"));
        }
        tell_left(&self.left, log);
    }

    /// Whether the ports were mapped before, by the same rules or by another backend.
    pub fn was_there(&self) -> bool {
        self.made.changed().is_none() || self.left.changed().is_some()
    }

    /// Rolls it back.
    ///
    /// # Errors
    /// Everything that could not be rolled back.
    pub fn run(self) -> Result<(), Error> {
        let Undo { made, left } = self;
        let errors = [left, made].into_iter().filter_map(|part| part.run().err());
        Error::all(errors.collect()).map_or(Ok(()), Err)
    }
}

fn tell_left(left: &Part, log: &Log) {
    if let Some(backend) = left.changed() {
        log.changed(format!("removed what {backend} had mapped before"));
    }
}

/// The backend that a configuration gets: the one it asks for, else iptables where it is installed or the
/// configuration names a chain of it, which needs no program. Nothing else on the node counts: what ADD
/// chooses CHECK must choose, too.
///
/// # Errors
/// Code 7 when the configuration has options of another backend, 100 when it cannot be found out whether
/// iptables is installed.
pub fn choose(config: &Config) -> Result<BackendKind, Error> {
    if let Some(backend) = config.chosen.get() {
        return Ok(*backend);
    }
    let backend = match config.backend {
        Some(backend) => backend,
        None if matches!(config.mark, Mark::Chain(_)) => BackendKind::Iptables,
        None if iptables::is_installed()? => BackendKind::Iptables,
        None => BackendKind::Nftables,
    };
    config.accept(backend)?;
    Ok(*config.chosen.get_or_init(|| backend))
}

/// Whether programs write what a configuration wants: those of an ADD that is killed go on. `None` where it
/// wants nothing.
///
/// # Errors
/// As [`choose`].
pub fn writers(config: &Config) -> Result<Option<Children>, Error> {
    let mut families = config.families().peekable();
    if families.peek().is_none() {
        return Ok(None);
    }
    let by_programs =
        choose(config)? == BackendKind::Iptables && iptables::is_by_programs(families)?;
    Ok(Some(match by_programs {
        true => Children::Hold,
        false => Children::DoNotHold,
    }))
}

/// What was read for several plans at once.
#[derive(Default)]
pub struct Seen {
    iptables: <Iptables as Backend>::Seen,
    nftables: <Nftables as Backend>::Seen,
}

/// Reads what several plans have in common, each of the backend that it gets.
pub fn observe(jobs: &[Job<'_>]) -> Seen {
    let of = |kind| -> Vec<Job<'_>> {
        let mut some = jobs.to_vec();
        some.retain(|(_, config)| choose(config).is_ok_and(|chosen| chosen == kind));
        some
    };
    Seen {
        iptables: Iptables::observe(&of(Iptables::KIND)),
        nftables: Nftables::observe(&of(Nftables::KIND)),
    }
}

/// How the kernel's rules differ from a plan. What cannot be judged is a warning.
///
/// # Errors
/// As the backend's.
pub fn diff(seen: &Seen, plan: &Plan, config: &Config, log: &Log) -> Result<Vec<Drift>, Error> {
    match choose(config)? {
        BackendKind::Iptables => Iptables::diff(&seen.iptables, plan, config, log),
        BackendKind::Nftables => Nftables::diff(&seen.nftables, plan, config, log),
    }
}

/// Applies a plan, all or nothing. What its owner had in the other backend goes after that: it was added
/// with another configuration.
///
/// # Errors
/// As the backend's.
pub fn apply(plan: &Plan, config: &Config, log: &Log) -> Result<Undo, Error> {
    let made = match choose(config)? {
        BackendKind::Iptables => Iptables::apply(plan, config, log).map(Part::Iptables),
        BackendKind::Nftables => Nftables::apply(plan, config, log).map(Part::Nftables),
    }?;
    match leave(plan, config) {
        Ok(left) => Ok(Undo { made, left }),
        Err(error) => Err(match made.run() {
            Ok(()) => error,
            Err(also) => error.and(also),
        }),
    }
}

/// Removes what the owner of a plan has in the backend that was not chosen.
fn leave(plan: &Plan, config: &Config) -> Result<Part, Error> {
    match choose(config)? {
        BackendKind::Iptables => Nftables::leave(plan, config).map(Part::Nftables),
        BackendKind::Nftables => Iptables::leave(plan, config).map(Part::Iptables),
    }
}

/// Whether an attachment can be written together with others, and by which backend.
pub fn at_once(config: &Config) -> Option<BackendKind> {
    let backend = choose(config).ok()?;
    (backend == BackendKind::Iptables && iptables::is_plain(config)).then_some(backend)
}

/// Applies the plans of several attachments at once, as [`at_once`] allows. Says whether that was done; if
/// not, nothing was, as far as it could be rolled back.
pub fn apply_all(jobs: &[Job<'_>]) -> bool {
    Iptables::apply_all(jobs)
}

/// The rest of [`apply`] for one of the plans that [`apply_all`] applied.
///
/// # Errors
/// What could not be removed in the other backend.
pub fn leave_other(plan: &Plan, config: &Config, log: &Log) -> Result<(), Error> {
    leave(plan, config).map(|left| tell_left(&left, log))
}

/// Removes rules in every backend, and gives what they led to; `None` when there was nothing.
///
/// # Errors
/// Everything that could not be removed.
pub fn remove(gone: &Gone<'_>, log: &Log) -> Removed {
    all([
        told(Nftables::KIND, Nftables::remove(gone, log), log),
        told(Iptables::KIND, Iptables::remove(gone, log), log),
    ])
}

/// Removes the rules of a network's dead attachments in every backend, and gives what they led to; `None` when
/// there was nothing. Who is dead is found out in all of them before anything waits for others.
///
/// # Errors
/// Everything that could not be removed.
pub fn collect(network: &str, valid: &[ValidAttachment], log: &Log) -> Removed {
    let (nftables, iptables) = (
        Nftables::dead(network, valid),
        Iptables::dead(network, valid),
    );
    let nftables = nftables.and_then(|dead| Nftables::collect(dead, log));
    let nftables = told(Nftables::KIND, nftables, log);
    let iptables = iptables.and_then(|dead| Iptables::collect(dead, log));
    all([nftables, told(Iptables::KIND, iptables, log)])
}

type Removed = Result<Option<Vec<Forward>>, Error>;

/// What was removed in all backends.
fn all(outcomes: [Removed; 2]) -> Removed {
    let mut removed: Option<Vec<Forward>> = None;
    let mut errors = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(Some(some)) => removed.get_or_insert_default().extend(some),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors).map_or(Ok(removed), Err)
}

/// Removes rules in one backend; connections stay.
///
/// # Errors
/// Everything that could not be removed.
pub fn remove_from(kind: BackendKind, gone: &Gone<'_>, log: &Log) -> Result<(), Error> {
    match kind {
        BackendKind::Iptables => Iptables::remove(gone, log).map(drop),
        BackendKind::Nftables => Nftables::remove(gone, log).map(drop),
    }
}

/// Says what was removed in a backend.
fn told(kind: BackendKind, removed: Removed, log: &Log) -> Removed {
    if let Ok(Some(removed)) = &removed {
        let ports = removed.iter().map(|forward| forward.port);
        log.changed(host_port::unmapped(ports, kind.name()));
    }
    removed
}

/// Every host port, in every backend.
///
/// # Errors
/// What could not be read.
pub fn list() -> Result<Vec<Row>, Error> {
    let mut all = Iptables::list()?;
    all.extend(Nftables::list()?);
    Ok(all)
}

/// Whether the backend that ADD would take can work.
///
/// # Errors
/// Code 50 with what is missing; as [`choose`], and for conditions as ADD.
pub fn status(config: &Config, node: &Node) -> Result<(), Error> {
    match choose(config)? {
        BackendKind::Iptables => Iptables::status(config, node),
        BackendKind::Nftables => Nftables::status(config, node),
    }
}
