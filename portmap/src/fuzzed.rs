//! What reads bytes of others, for the fuzz targets.

use std::net::{IpAddr, Ipv4Addr};

use common::Request;

use crate::address::Interfaces;
use crate::config::{Config, Evidence, understood_mappings};
use crate::conntrack::{Stale, is_meant};
use crate::host_port::HostPort;
pub use crate::iptables::fuzzed as iptables;
use crate::limits::Node;
pub use crate::nftables::fuzzed as nftables;
use crate::plan::{Plan, unserved};
use common::{Family, Protocol};

/// A configuration, as every verb reads it, and what both backends make of its plan.
pub fn configuration(request: &Request) {
    let _ = (Config::of_network(request), understood_mappings(request));
    let _ = (
        Evidence::of_request(request),
        request.conf.valid_attachments(),
    );
    let Ok((config, _)) = Config::parse(request) else {
        return;
    };
    let Ok(plan) = Plan::of(&config, &Node::of(Interfaces::default())) else {
        return;
    };
    assert!(unserved(&config).count() <= config.mappings.len());
    for forwards in &plan.families {
        iptables::plan(&config, forwards);
        nftables::plan(&config, forwards);
    }
}

/// The attributes of one connection.
pub fn connection(attributes: &[u8]) {
    let local = [IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1))];
    for family in Family::ALL {
        for container in [None, Some(local[0])] {
            let stale = Stale {
                family,
                port: HostPort {
                    protocol: Protocol::Udp,
                    address: None,
                    within: None,
                    number: 8080,
                },
                container,
                kept: None,
            };
            let _ = is_meant(attributes, &stale, &local);
        }
    }
}
