//! The same picture for each side.

use std::io;

use sandbox::topology::Net;
use sandbox::{Namespace, Topology};

use crate::scenario::Side;

/// A host with a pod for each side.
pub struct Nets {
    ours: Net,
    reference: Net,
}

impl Nets {
    /// # Errors
    /// When one of them cannot be made.
    pub fn build() -> io::Result<Nets> {
        Ok(Nets {
            ours: Topology::new().build()?,
            reference: Topology::new().build()?,
        })
    }

    fn of(&self, side: Side) -> &Net {
        match side {
            Side::Ours => &self.ours,
            Side::Reference => &self.reference,
        }
    }

    /// The namespace that a side's plugin runs in.
    pub fn host(&self, side: Side) -> &Namespace {
        &self.of(side).host.namespace
    }

    /// A side's pod.
    pub fn pod(&self, side: Side) -> Option<&Namespace> {
        self.of(side).containers.first().map(|node| &**node)
    }

    /// The path of a side's pod, for `CNI_NETNS`.
    pub fn netns(&self, side: Side) -> String {
        let netns = self.of(side).containers.first().map(|node| node.path());
        netns.unwrap_or_default().display().to_string()
    }
}
