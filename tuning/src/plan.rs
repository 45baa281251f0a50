//! The values that the kernel shall have, and how it differs from them.

use std::fmt;

use common::sys::link::{Change, Link};
use common::version::Version;
use common::{CniResult, Drift};

use crate::attribute;
use crate::backup::Shown;
use crate::config::{Config, Setting};
use crate::kernel::{Actual, Reading};
use crate::meaning;

/// What ADD sets, in this order: sysctls, then the link's attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order written.
    pub sysctls: Vec<Setting>,
    /// In the reference's order.
    pub link: Vec<Change>,
}

impl Plan {
    /// The plan of a configuration.
    pub fn new(config: Config) -> Plan {
        let Config {
            sysctls,
            mac,
            mtu,
            promisc,
            allmulti,
            txqlen,
            data_dir: _,
        } = config;
        let link = [
            mac.map(Change::Mac),
            promisc.then_some(Change::Promisc(true)),
            mtu.map(Change::Mtu),
            allmulti.map(Change::Allmulti),
            txqlen.map(Change::TxQLen),
        ];
        Plan {
            sysctls,
            link: link.into_iter().flatten().collect(),
        }
    }

    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        self.sysctls.is_empty() && self.link.is_empty()
    }

    /// Every difference between this plan and what the kernel has, where `shown` is how it showed what
    /// ADD wrote. That the interface is gone is a difference whatever the plan says.
    pub fn drifts(&self, actual: &Actual, ifname: &str, shown: &[Shown]) -> Vec<Drift> {
        let mut drifts: Vec<Drift> = self
            .sysctls
            .iter()
            .zip(&actual.sysctls)
            .filter_map(|(setting, reading)| sysctl_drift(setting, reading, shown))
            .collect();
        match &actual.link {
            None => drifts.push(Drift::new(format!("interface {ifname}"), "present", "none")),
            Some(link) => {
                drifts.extend(
                    self.link
                        .iter()
                        .filter_map(|change| link_drift(*change, link)),
                );
            }
        }
        drifts
    }

    /// Writes the new MAC, and from 1.1.0 on the new MTU, into what the chain's result says of the
    /// container's interface.
    pub fn show_in(&self, result: &mut CniResult, ifname: &str, version: Version) {
        let interfaces = result.interfaces.iter_mut();
        for interface in interfaces.filter(|i| i.name == ifname && i.is_in_sandbox()) {
            for change in &self.link {
                match change {
                    Change::Mac(mac) => interface.mac = mac.to_string(),
                    Change::Mtu(mtu) if version >= Version::V110 => {
                        interface.mtu = Some(i64::from(*mtu));
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Shown {
    /// Whether ADD wrote this setting and the kernel showed it so.
    fn is_of(&self, setting: &Setting, actual: &str) -> bool {
        self.name == setting.name && self.written == setting.value && self.reads == actual
    }
}

fn sysctl_drift(setting: &Setting, reading: &Reading, shown: &[Shown]) -> Option<Drift> {
    let actual = match reading {
        Reading::Value(actual) if meaning::same(actual, &setting.value) => return None,
        Reading::Value(actual) if shown.iter().any(|s| s.is_of(setting, actual)) => return None,
        Reading::WriteOnly => return None,
        Reading::Value(actual) => actual.as_str(),
        Reading::Missing => "no such sysctl",
        Reading::Unreadable(why) => why.as_str(),
    };
    Some(Drift::new(
        format!("sysctl {}", setting.name.text()),
        &setting.value,
        actual,
    ))
}

fn link_drift(change: Change, link: &Link) -> Option<Drift> {
    let present = attribute::present(link, change);
    (present != Some(change)).then(|| {
        Drift::new(
            format!("{} of {}", attribute::name(change), link.name),
            attribute::value(change),
            present.map_or_else(|| "none".to_owned(), attribute::value),
        )
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { name, value, .. } in &self.sysctls {
            writeln!(f, "sysctl {} = {value}", name.text())?;
        }
        for change in &self.link {
            writeln!(
                f,
                "link {} {}",
                attribute::name(*change),
                attribute::value(*change)
            )?;
        }
        Ok(())
    }
}
