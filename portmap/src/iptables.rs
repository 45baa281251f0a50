//! The iptables backend: the verbs over both IP versions and both variants.
//!
//! The nf_tables variant is written by netlink batches ([`native`]), the legacy one by a program for each
//! IP version, IPv4 and IPv6 side by side.

mod add;
mod apply;
mod bounds;
mod by_place;
mod compiled;
mod conflict;
mod diff;
mod doubts;
mod drift;
mod excerpt;
mod families;
mod follow;
#[cfg(any(fuzzing, test))]
pub mod fuzzed;
mod kernel;
mod list;
mod many;
mod names;
mod native;
mod observe;
mod order;
mod owner;
mod ranges;
mod reach;
mod refusal;
mod remove;
mod rules;
mod shadow;
mod shadowed;
mod shown;
mod standing;
mod status;
mod theirs;
mod tool;
mod translation;
mod trial;
mod undo;
mod write;

use common::error::{Code, Error};
use common::log::Log;
use common::netconf::ValidAttachment;
use common::{Drift, Family};

use crate::backend::{Backend, Gone, Job};
use crate::config::{Config, Evidence};
use crate::host_port::Forward;
use crate::limits::Node;
use crate::list::row::Row;
use crate::options::BackendKind;
use crate::plan::Plan;
use observe::Tables;
use tool::Tool;
use xtables::Variant;

pub use families::is_by_programs;
pub use observe::is_plain;
pub use rules::{CHAINS, DNAT, GUARD};
pub use shown::{Names, shown};
pub use status::try_rules;

/// The backend.
pub struct Iptables;

impl Backend for Iptables {
    const KIND: BackendKind = BackendKind::Iptables;
    type Seen = Tables;
    type Undo = apply::Undo;
    type Dead = remove::Collection;

    fn observe(jobs: &[Job<'_>]) -> Tables {
        Tables::read(jobs)
    }

    fn diff(seen: &Tables, plan: &Plan, config: &Config, log: &Log) -> Result<Vec<Drift>, Error> {
        bounds::accept(plan, config)?;
        diff::diff(seen, (plan, config), log)
    }

    fn apply(plan: &Plan, config: &Config, log: &Log) -> Result<apply::Undo, Error> {
        bounds::accept(plan, config)?;
        apply::apply(plan, config, log)
    }

    fn leave(plan: &Plan, config: &Config) -> Result<apply::Undo, Error> {
        apply::leave(&plan.attachment, Evidence::of_config(config))
    }

    fn apply_all(jobs: &[Job<'_>]) -> bool {
        let is_bounded = |(plan, config): &Job<'_>| bounds::accept(plan, config).is_ok();
        jobs.iter().all(is_bounded) && many::add(jobs)
    }

    fn remove(gone: &Gone<'_>, _log: &Log) -> Result<Option<Vec<Forward>>, Error> {
        match gone {
            Gone::Owner {
                owner,
                mappings: _,
                evidence,
            } => remove::del(owner, evidence),
            Gone::Entries {
                attachment,
                kept,
                evidence,
            } => remove::entries(attachment, kept, evidence),
        }
    }

    fn dead(network: &str, valid: &[ValidAttachment]) -> Result<remove::Collection, Error> {
        Ok(remove::Collection::of(network, valid))
    }

    fn collect(dead: remove::Collection, log: &Log) -> Result<Option<Vec<Forward>>, Error> {
        dead.remove(log)
    }

    fn list() -> Result<Vec<Row>, Error> {
        list::list()
    }

    fn status(config: &Config, node: &Node) -> Result<(), Error> {
        bounds::accept(&status::any_port(config, node)?, config)?;
        status::status(config, node)
    }
}

/// Whether the programs are there.
///
/// # Errors
/// As [`Tool::usual`].
pub fn is_installed() -> Result<bool, Error> {
    Ok(Tool::usual(Family::V4)?.is_some() || Tool::usual(Family::V6)?.is_some())
}

/// The variant of an IP version's usual programs; `None` where they are not there or do not say.
///
/// # Errors
/// As [`Tool::usual`].
pub fn usual_variant(family: Family) -> Result<Option<&'static str>, Error> {
    let variant = Tool::usual(family)?.and_then(|tool| tool.variant);
    Ok(variant.map(|variant| match variant {
        Variant::Nft => "iptables-nft",
        Variant::Legacy => "iptables-legacy",
    }))
}

/// All legacy tables of an IP version, as `iptables-save` prints them.
///
/// # Errors
/// Code 103 where the legacy program is not installed, code 100 with what it said.
pub fn save_legacy(family: Family) -> Result<String, Error> {
    let tried = format!("list the legacy tables ({family})");
    let tool = Tool::of(family, Variant::Legacy)?.ok_or_else(|| {
        let error = Error::new(Code::Unsupported, tried.clone());
        error.with_details("iptables-legacy-save is not installed")
    })?;
    let saved = tool.save_all();
    saved.map_err(|failure| failure.error(Code::System, tried))
}
