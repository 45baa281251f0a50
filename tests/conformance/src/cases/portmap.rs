//! portmap: the same cases on every backend, and those of a backend alone.

use serde_json::{Value, json};

use super::Beside;
use crate::case::Table;
use crate::group::Group;

mod config;
mod conntrack;
mod del;
mod drift_both;
mod drift_iptables;
mod drift_nftables;
mod fault;
mod gc;
mod hostile;
mod identity;
mod interoperation;
mod ipvs;
mod kube_proxy;
mod owners;
mod pass;
mod rules;
mod traces;
mod traffic;

/// Everything about portmap on one backend; with ipvs only where it is wanted, as few machines have it.
pub fn cases(table: &mut Table, group: Group, beside: &Beside) {
    rules::cases(table, group);
    traffic::cases(table);
    owners::cases(table);
    config::cases(table);
    pass::cases(table, group);
    drift_both::cases(table);
    match group {
        Group::PortmapNftables => drift_nftables::cases(table),
        _ => drift_iptables::cases(table),
    }
    del::cases(table);
    identity::cases(table);
    interoperation::cases(table);
    conntrack::cases(table);
    gc::cases(table);
    fault::cases(table, group);
    hostile::cases(table);
    if beside.ipvs {
        ipvs::cases(table);
    }
    // It writes its rules with the machine's iptables, which is iptables-nft.
    if let Some(program) = &beside.kube_proxy
        && group != Group::PortmapIptablesLegacy
    {
        kube_proxy::cases(table, program);
    }
}

/// A configuration with these port mappings.
fn mappings(mappings: &[Value]) -> Value {
    json!({"runtimeConfig": {"portMappings": mappings}})
}

/// A mapping without a host address.
fn mapping(protocol: &str, host: u16, container: u16) -> Value {
    json!({"hostPort": host, "containerPort": container, "protocol": protocol})
}

/// A mapping of one host address.
fn mapping_at(ip: &str, protocol: &str, host: u16, container: u16) -> Value {
    json!({"hostPort": host, "containerPort": container, "protocol": protocol, "hostIP": ip})
}

/// One TCP port, 8080 to 80.
fn web() -> Value {
    mappings(&[mapping("tcp", 8080, 80)])
}
