//! The values before ADD: what DEL and a failed ADD put back.

use std::collections::HashSet;

use common::sys::link::{Change, Link};
use common::{Code, Error};

use crate::attribute;
use crate::kernel::{Actual, Reading};
use crate::offload::{Side, Value};
use crate::plan::Plan;
use crate::sysctl::Name;

/// Values as they were, in the order in which they were changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Originals {
    /// Sysctls and their values, changed first.
    pub sysctls: Vec<(Name, String)>,
    /// The link's attributes.
    pub link: Vec<Change>,
    /// Offloads as they were switched, of the link and of its peer.
    pub offloads: Vec<(Side, Value)>,
}

impl Originals {
    /// The present values of everything that a plan sets.
    ///
    /// Sysctls that cannot be read have no original.
    ///
    /// # Errors
    /// Code 7 for a sysctl that does not exist, code 100 for an interface that is not there or has no
    /// such attribute: the plan cannot be carried out.
    pub fn of(plan: &Plan, actual: &Actual, ifname: &str) -> Result<Originals, Error> {
        let mut originals = Originals::default();
        for (setting, reading) in plan.sysctls.iter().zip(&actual.sysctls) {
            match reading {
                Reading::Value(value) => {
                    originals
                        .sysctls
                        .push((setting.name.clone(), value.clone()));
                }
                Reading::Missing => return Err(no_such_sysctl(&setting.name, &setting.written)),
                Reading::WriteOnly | Reading::Unreadable(_) => {}
            }
        }
        if let Some(link) = required_link(plan, actual, ifname)? {
            for change in &plan.link {
                originals.link.push(original(link, *change)?);
            }
        }
        for (side, Value { name, .. }) in plan.features(actual)? {
            let end = actual.ends.iter().find(|seen| seen.side == side);
            let features = end.map_or(&[][..], |seen| &seen.features);
            let before = features.iter().find(|feature| feature.name == name);
            let before = before.map(|before| before.wanted);
            originals
                .offloads
                .extend(before.map(|on| (side, Value { name, on })));
        }
        Ok(originals)
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
}

fn no_such_sysctl(name: &Name, written: &str) -> Error {
    Error::new(
        Code::InvalidConfig,
        format!("sysctl {written} does not exist in the container's namespace"),
    )
    .with_details(format!("there is no {}", name.path().display()))
}

/// The interface, where the plan needs one.
fn required_link<'a>(
    plan: &Plan,
    actual: &'a Actual,
    ifname: &str,
) -> Result<Option<&'a Link>, Error> {
    let first = plan.link.first().map(|change| attribute::name(*change));
    match (
        &actual.link,
        first.or(plan.offloads.first().map(|_| "offloads")),
    ) {
        (_, None) => Ok(None),
        (Some(link), _) => Ok(Some(link)),
        (None, Some(what)) => Err(Error::new(Code::System, format!("set {what} on {ifname}"))
            .with_details(format!("the container has no interface {ifname}"))),
    }
}

fn original(link: &Link, change: Change) -> Result<Change, Error> {
    attribute::present(link, change).ok_or_else(|| {
        Error::new(
            Code::System,
            format!("set {} on {}", attribute::name(change), link.name),
        )
        .with_details("the interface has no Ethernet address")
    })
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
            link: vec![Change::Mtu(1500)],
            offloads: vec![],
        };
        let second = Originals {
            sysctls: vec![sysctl("net/b", "3"), sysctl("net/a", "2")],
            link: vec![Change::Mtu(1400), Change::TxQLen(1000)],
            offloads: vec![],
        };
        let both = Originals {
            sysctls: vec![sysctl("net/a", "1"), sysctl("net/b", "3")],
            link: vec![Change::Mtu(1500), Change::TxQLen(1000)],
            offloads: vec![],
        };
        assert_eq!(first.completed_by(&second), both);
    }
}
