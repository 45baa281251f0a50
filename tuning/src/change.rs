//! What ADD can change, and roll back.

use common::sys::link;

use crate::attribute;
use crate::offload::{Side, Value};
use crate::sysctl::Name;

/// A step of this plugin. Its undo is the original value, also where nothing is to be changed.
pub type Step = common::Step<Change>;

/// A value to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A sysctl.
    Sysctl(Name, String),
    /// An attribute of the interface.
    Link(link::Change),
    /// An offload of the interface or of its peer.
    Offload(Side, Value),
}

impl Change {
    /// What it sets, as the table of changes names it.
    pub fn what(&self) -> String {
        match self {
            Change::Sysctl(name, _) => name.text(),
            Change::Link(change) => attribute::name(*change).to_owned(),
            Change::Offload(side, Value { name, .. }) => format!("{} {name}", side.key()),
        }
    }
}
