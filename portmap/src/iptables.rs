//! The iptables backend: the verbs over both IP versions and both variants.
//!
//! The nf_tables variant is written by netlink batches ([`native`]), the legacy one by a program for each
//! IP version, IPv4 and IPv6 side by side.

mod add;
mod apply;
mod by_place;
mod compiled;
mod conflict;
mod diff;
mod families;
mod follow;
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
mod standing;
mod status;
mod tool;
mod translation;
mod undo;
mod write;

use common::error::Error;
use common::log::Log;
use common::{Drift, Family};

use crate::backend::{Backend, Gone, Job};
use crate::config::Config;
use crate::host_port::Forward;
use crate::list::row::Row;
use crate::options::BackendKind;
use crate::plan::Plan;
use observe::Tables;
use tool::Tool;

pub use observe::is_plain;

/// The backend.
pub struct Iptables;

impl Backend for Iptables {
    const KIND: BackendKind = BackendKind::Iptables;
    type Seen = Tables;
    type Undo = apply::Undo;

    fn observe(jobs: &[Job<'_>]) -> Tables {
        Tables::read(jobs)
    }

    fn diff(seen: &Tables, plan: &Plan, config: &Config) -> Result<Vec<Drift>, Error> {
        diff::diff(seen, plan, config)
    }

    fn apply(plan: &Plan, config: &Config, log: &Log) -> Result<apply::Undo, Error> {
        apply::apply(plan, config, log)
    }

    fn apply_all(jobs: &[Job<'_>]) -> bool {
        many::add(jobs)
    }

    fn remove(gone: &Gone<'_>, _log: &Log) -> Result<Option<Vec<Forward>>, Error> {
        match gone {
            Gone::Attachment {
                attachment,
                mappings: _,
                evidence,
            } => remove::del(attachment, evidence),
            Gone::Dead { network, valid } => remove::gc(network, valid),
        }
    }

    fn list() -> Result<Vec<Row>, Error> {
        list::list()
    }

    fn status(config: &Config) -> Result<(), Error> {
        status::status(config)
    }
}

/// Whether the programs are there.
///
/// # Errors
/// As [`Tool::usual`].
pub fn is_installed() -> Result<bool, Error> {
    Ok(Tool::usual(Family::V4)?.is_some() || Tool::usual(Family::V6)?.is_some())
}
