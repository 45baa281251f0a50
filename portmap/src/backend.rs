//! What a backend is: one way to hold the forwards of attachments in the kernel.

use common::error::Error;
use common::log::Log;
use common::netconf::ValidAttachment;
use common::{Attachment, Drift, Request};

use crate::config::{self, Config, Evidence};
use crate::host_port::Forward;
use crate::limits::Node;
use crate::list::row::Row;
use crate::mapping::PortMapping;
use crate::options::BackendKind;
use crate::plan::Plan;

/// What ADD and CHECK of one attachment are about.
pub type Job<'a> = (&'a Plan, &'a Config);

/// Whose rules are to go.
pub enum Gone<'a> {
    /// One owner's.
    Owner {
        /// Whose they are: see [`crate::entry`].
        owner: &'a Attachment,
        /// Its mappings, as far as they are known.
        mappings: &'a [PortMapping],
        /// What the request says of them.
        evidence: &'a Evidence,
    },
    /// Those of all entries of an attachment but some.
    Entries {
        /// Whose they are.
        attachment: &'a Attachment,
        /// The owners whose rules stay.
        kept: &'a [Attachment],
        /// What the request says of the mappings.
        evidence: &'a Evidence,
    },
}

/// An attachment whose rules are to go, as far as a request describes it.
pub struct Leaving<'a> {
    attachment: &'a Attachment,
    mappings: Vec<PortMapping>,
    evidence: Evidence,
}

impl<'a> Leaving<'a> {
    /// That of a request, which need not be valid.
    pub fn of(request: &'a Request) -> Leaving<'a> {
        Leaving {
            attachment: &request.attachment,
            mappings: config::understood_mappings(request),
            evidence: Evidence::of_request(request),
        }
    }

    /// What one owner has.
    pub fn owner(&'a self, owner: &'a Attachment) -> Gone<'a> {
        Gone::Owner {
            owner,
            mappings: &self.mappings,
            evidence: &self.evidence,
        }
    }

    /// What all entries have but those of some owners.
    pub fn entries(&'a self, kept: &'a [Attachment]) -> Gone<'a> {
        Gone::Entries {
            attachment: self.attachment,
            kept,
            evidence: &self.evidence,
        }
    }

    /// Everything: of the plain entry also what nothing but the evidence shows to be its own.
    pub fn all(&'a self) -> [Gone<'a>; 2] {
        [self.owner(self.attachment), self.entries(&[])]
    }
}

/// One way to hold forwards in the kernel. The files of a backend have the names of these steps.
pub trait Backend {
    /// Its name.
    const KIND: BackendKind;
    /// What was read for several plans at once.
    type Seen: Default;
    /// Who is dead on a network, and what is to be said of it.
    type Dead;
    /// What rolls back what was applied.
    type Undo: Undo;

    /// Reads what several plans have in common; what is not in there, [`Backend::diff`] reads itself.
    fn observe(jobs: &[Job<'_>]) -> Self::Seen;

    /// How the kernel differs from a plan.
    ///
    /// # Errors
    /// What could not be found out.
    fn diff(
        seen: &Self::Seen,
        plan: &Plan,
        config: &Config,
        log: &Log,
    ) -> Result<Vec<Drift>, Error>;

    /// Brings the kernel to a plan: all of it or nothing.
    ///
    /// # Errors
    /// Why nothing was done; with code 102, the owner of a port that another attachment has.
    fn apply(plan: &Plan, config: &Config, log: &Log) -> Result<Self::Undo, Error>;

    /// The same for several attachments at once, the last being the newest. Says whether that was done; if
    /// not, nothing was, as far as it could be rolled back.
    fn apply_all(_jobs: &[Job<'_>]) -> bool {
        false
    }

    /// Removes what the owner of a plan has here, as another backend has it now.
    ///
    /// # Errors
    /// Why nothing was removed, or what could not be brought back.
    fn leave(plan: &Plan, config: &Config) -> Result<Self::Undo, Error>;

    /// Removes rules, and gives what they led to; `None` when there was nothing.
    ///
    /// # Errors
    /// Everything that could not be removed.
    fn remove(gone: &Gone<'_>, log: &Log) -> Result<Option<Vec<Forward>>, Error>;

    /// Finds out which attachments of a network have something here and are not valid, without
    /// waiting: who comes later is not in the runtime's list, and lives.
    ///
    /// # Errors
    /// What could not be read.
    fn dead(network: &str, valid: &[ValidAttachment]) -> Result<Self::Dead, Error>;

    /// Removes what the dead have, as [`Backend::remove`] does.
    ///
    /// # Errors
    /// Everything that could not be read or removed.
    fn collect(dead: Self::Dead, log: &Log) -> Result<Option<Vec<Forward>>, Error>;

    /// Every host port, in the order in which the kernel asks for them.
    ///
    /// # Errors
    /// What could not be read.
    fn list() -> Result<Vec<Row>, Error>;

    /// Whether ADD could work.
    ///
    /// # Errors
    /// Code 50 with what is missing; for conditions as ADD.
    fn status(config: &Config, node: &Node) -> Result<(), Error>;
}

/// What rolls back what was applied.
pub trait Undo {
    /// Whether there was anything to change.
    fn is_change(&self) -> bool;

    /// Rolls it back.
    ///
    /// # Errors
    /// Everything that could not be rolled back.
    fn run(self) -> Result<(), Error>;
}

/// An error of rolling back a batch: what stays, and who removes it.
pub fn not_rolled_back(error: Error) -> Error {
    let msg = "roll back the rules in nf_tables; DEL removes what stays";
    Error::new(error.code, msg).with_details(error)
}
