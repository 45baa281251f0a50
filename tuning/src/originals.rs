//! The values before ADD: what DEL and a failed ADD put back.

use std::collections::HashSet;

use common::sys::link;

use crate::attribute;
use crate::change::Change;
use crate::offload::{Side, Value};
use crate::sysctl::Name;

/// Values as they were, in the order in which they were changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Originals {
    /// Sysctls and their values, changed first.
    pub sysctls: Vec<(Name, String)>,
    /// The link's attributes.
    pub link: Vec<link::Change>,
    /// Offloads as they were switched, of the link and of its peer.
    pub offloads: Vec<(Side, Value)>,
}

impl Originals {
    /// The values that steps put back.
    pub fn of<'a>(undos: impl IntoIterator<Item = &'a Change>) -> Originals {
        let mut originals = Originals::default();
        for undo in undos {
            match undo.clone() {
                Change::Sysctl(name, value) => originals.sysctls.push((name, value)),
                Change::Link(change) => originals.link.push(change),
                Change::Offload(side, value) => originals.offloads.push((side, value)),
            }
        }
        originals
    }

    /// The link's MTU.
    pub fn mtu(&self) -> Option<u32> {
        self.link.iter().find_map(|change| match change {
            link::Change::Mtu(mtu) => Some(*mtu),
            _ => None,
        })
    }

    /// The sides that have offloads.
    pub fn sides(&self) -> Vec<Side> {
        let is_there = |side: &Side| self.offloads.iter().any(|(known, _)| known == side);
        Side::ALL.into_iter().filter(is_there).collect()
    }

    /// These, and from `newer` what these do not have: the first value known is the original one.
    #[must_use]
    pub fn completed_by(mut self, newer: &Originals) -> Originals {
        let known: HashSet<Name> = self.sysctls.iter().map(|(name, _)| name.clone()).collect();
        let new = newer.sysctls.iter();
        let new = new.filter(|(name, _)| !known.contains(name)).cloned();
        self.sysctls.extend(new);
        for change in &newer.link {
            if !self
                .link
                .iter()
                .any(|known| attribute::is_same(*known, *change))
            {
                self.link.push(*change);
            }
        }
        for (side, value) in &newer.offloads {
            let is_same = |(known, old): &(Side, Value)| known == side && old.name == value.name;
            if !self.offloads.iter().any(is_same) {
                self.offloads.push((*side, value.clone()));
            }
        }
        self
    }

    /// Whether both hold a value of the same things and of nothing else.
    pub fn is_about_the_same_as(&self, other: &Originals) -> bool {
        let adds_nothing = |to: &Originals, new| to.clone().completed_by(new) == *to;
        adds_nothing(self, other) && adds_nothing(other, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctl(name: &str, value: &str) -> (Name, String) {
        (Name::parse(name, "").unwrap(), value.to_owned())
    }

    #[test]
    fn the_first_value_known_stays() {
        let first = Originals {
            sysctls: vec![sysctl("net/a", "1")],
            link: vec![link::Change::Mtu(1500)],
            offloads: vec![],
        };
        let second = Originals {
            sysctls: vec![sysctl("net/b", "3"), sysctl("net/a", "2")],
            link: vec![link::Change::Mtu(1400), link::Change::TxQLen(1000)],
            offloads: vec![],
        };
        let both = Originals {
            sysctls: vec![sysctl("net/a", "1"), sysctl("net/b", "3")],
            link: vec![link::Change::Mtu(1500), link::Change::TxQLen(1000)],
            offloads: vec![],
        };
        assert_eq!(first.completed_by(&second), both);
    }
}
