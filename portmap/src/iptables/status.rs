//! Whether ADD could work.

use std::net::{Ipv4Addr, Ipv6Addr};

use common::error::{Code, Error};
use common::result::Prefix;
use common::{Family, Protocol};
use xtables::{Table, Variant};

use super::families::{Variants, may_be_left_out, usual};
use super::native;
use super::trial::try_conditions;
use crate::config::Config;
use crate::host_port::HostPort;
use crate::limits::Node;
use crate::mapping::PortMapping;
use crate::plan::Plan;

/// Whether ADD could work: the kernel takes the rules, or the legacy programs are there and know the nat
/// table.
///
/// # Errors
/// Code 50 with what is missing; for conditions as [`try_conditions`]. IPv6 may be missing.
pub fn status(config: &Config, node: &Node) -> Result<(), Error> {
    let not_available = |error: Error| {
        let details = error.to_string();
        Error::new(Code::NotAvailable, "the iptables backend cannot work").with_details(details)
    };
    match Variants::find()?.of(Family::V4) {
        Some(Variant::Nft) => {
            try_rules(config, node, Family::V4).map_err(not_available)?;
        }
        Some(Variant::Legacy) | None => {
            let tool = usual(Family::V4).map_err(not_available)?;
            tool.save(&[Table::Nat]).map_err(|failure| {
                not_available(failure.error(Code::NotAvailable, "list the nat table"))
            })?;
        }
    }
    let conditional = Family::ALL.into_iter();
    let mut conditional = conditional.filter(|family| !config.conditions(*family).is_empty());
    conditional.try_for_each(|family| {
        let one = of_any(config, family);
        match try_conditions(&Plan::of(&one, node)?, &one, family) {
            Err(error) if family == Family::V4 && error.code == Code::Unsupported => {
                Err(not_available(error))
            }
            Err(error) if may_be_left_out(family, &error) => Ok(()),
            outcome => outcome,
        }
    })
}

/// The configuration of any attachment of a network, in one IP version.
fn of_any(config: &Config, family: Family) -> Config {
    let any = Prefix {
        addr: match family {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        },
        len: 0,
    };
    let port = PortMapping {
        asked: HostPort {
            protocol: Protocol::Tcp,
            address: None,
            within: None,
            number: 1,
        },
        container_port: 1,
    };
    Config {
        mappings: vec![port],
        container_v4: Some(any).filter(|_| family == Family::V4),
        container_v6: Some(any).filter(|_| family == Family::V6),
        ..config.clone()
    }
}

/// The plan of any attachment of a network, in both.
///
/// # Errors
/// As [`Plan::of`].
pub fn any_port(config: &Config, node: &Node) -> Result<Plan, Error> {
    let [mut v4, v6] = Family::ALL.map(|family| of_any(config, family));
    v4.container_v6 = v6.container_v6;
    Plan::of(&v4, node)
}

/// Whether the kernel takes the rules of an IP version in nf_tables, without conditions; nothing is changed.
///
/// # Errors
/// What it refuses.
pub fn try_rules(config: &Config, node: &Node, family: Family) -> Result<(), Error> {
    let any = Config {
        conditions_v4: Vec::new(),
        conditions_v6: Vec::new(),
        ..of_any(config, family)
    };
    native::probe(&Plan::of(&any, node)?, &any)
}
