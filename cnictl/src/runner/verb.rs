//! The verbs of the CNI protocol.

use std::fmt;

/// What a plugin is asked to do, `CNI_COMMAND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Attach the container.
    Add,
    /// Compare what is with what was asked (from 0.4.0).
    Check,
    /// Detach the container.
    Del,
    /// Remove what belongs to no valid attachment (from 1.1.0).
    Gc,
    /// Say whether an ADD could work (from 1.1.0).
    Status,
    /// Name the supported spec versions.
    Version,
}

impl Verb {
    /// The value of `CNI_COMMAND`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Check => "CHECK",
            Self::Del => "DEL",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
