//! Forwarding, reverse path filters, loopback addresses, and the table of connections.

use std::io::ErrorKind;

use common::Family;
use common::sys::{file, sysctl};
use common::{Code, Context, Error};
use portmap::firewall::GUARDS;

use super::{Node, found};
use crate::finding::{Finding, some};

/// The part of the table of connections, in percent, from which on it is nearly full.
const NEARLY_FULL: u64 = 90;

pub(super) fn findings(node: &Node<'_>) -> Vec<Finding> {
    let has = |family| {
        let mut mappings = node.mappings.iter();
        mappings.any(|mapping| Family::of(mapping.row.forward.to.ip()) == family)
    };
    let families = Family::ALL.into_iter();
    let findings = families.filter_map(|family| forwarding(family, has(family)));
    let mut findings: Vec<Finding> = findings.collect();
    findings.extend(filters());
    findings.extend(loopback(node));
    findings.extend(connections());
    findings
}

/// A sysctl's value; `None` where the kernel has none of that name.
pub fn read(name: &str) -> Result<Option<String>, Error> {
    let parts: Vec<&str> = name.split('/').collect();
    let path = sysctl::path(&parts);
    match sysctl::read(&path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        value => value
            .map(Some)
            .context(Code::Io, || format!("read {}", path.display())),
    }
}

/// Whether the node forwards packets of an IP version.
pub fn forwarding(family: Family, is_needed: bool) -> Option<Finding> {
    let (name, written) = match family {
        Family::V4 => ("net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        Family::V6 => (
            "net/ipv6/conf/all/forwarding",
            "net.ipv6.conf.all.forwarding",
        ),
    };
    match read(name) {
        Err(error) => Some(Finding::unread(written, &error)),
        Ok(None) => None,
        Ok(Some(value)) if value == "1" || (family == Family::V6 && !is_needed) => None,
        Ok(Some(value)) => {
            let text = format!("is {value}: packets from outside do not reach containers");
            let run = format!("sysctl -w {written}=1");
            let finding = match is_needed {
                true => Finding::error(written, text),
                false => Finding::warning(written, text),
            };
            Some(finding.run(run))
        }
    }
}

/// Interfaces whose value of a sysctl of IPv4 is one of some.
fn interfaces(name: &str, wanted: &str) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    let names = file::names(&sysctl::path(&["net", "ipv4", "conf"]))?;
    for interface in names.into_iter().flatten() {
        let interface = interface.to_string_lossy().into_owned();
        let value = read(&format!("net/ipv4/conf/{interface}/{name}"))?;
        if value.as_deref() == Some(wanted) {
            all.push(interface);
        }
    }
    Ok(all)
}

/// Strict reverse path filters: they drop what comes in by another interface than its answers would leave by.
fn filters() -> Vec<Finding> {
    let mut findings = Vec::new();
    let strict =
        found("rp_filter", interfaces("rp_filter", "1"), &mut findings).unwrap_or_default();
    let strict: Vec<String> = strict
        .into_iter()
        .filter(|name| name != "default")
        .collect();
    if !strict.is_empty() {
        let text = format!(
            "is strict on {}: packets to a mapped port are dropped if the route back to their \
             sender uses another interface",
            some(&strict)
        );
        let run = "sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2";
        findings.push(Finding::warning("rp_filter", text).run(run));
    }
    findings
}

/// `route_localnet` without what keeps others out.
fn loopback(node: &Node<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let open = interfaces("route_localnet", "1");
    let open = found("route_localnet", open, &mut findings).unwrap_or_default();
    let has_guard = |chain: &str| {
        node.firewalls
            .iter()
            .any(|(_, firewall)| firewall.has_chain(chain))
    };
    if !open.is_empty() && !GUARDS.iter().any(|chain| has_guard(chain)) {
        let text = format!(
            "is 1 on {}, but the guard rule is missing: neighbours and pods can reach services on \
             127.0.0.1 of this node",
            some(&open)
        );
        findings.push(Finding::warning("route_localnet", text).run("cnictl reconcile"));
    }
    findings
}

/// How full the table of connections is.
fn connections() -> Vec<Finding> {
    const OBJECT: &str = "conntrack";
    let number = |name: &str| -> Result<Option<u64>, Error> {
        let value = read(&format!("net/netfilter/{name}"))?;
        let number = value.map(|value| {
            value
                .parse()
                .context(Code::System, || format!("understand {name} {value}"))
        });
        number.transpose()
    };
    let mut findings = Vec::new();
    let count = found(OBJECT, number("nf_conntrack_count"), &mut findings).flatten();
    let most = found(OBJECT, number("nf_conntrack_max"), &mut findings).flatten();
    if let (Some(count), Some(most)) = (count, most) {
        let text = format!("{count} of {most} connections");
        findings.push(match count * 100 >= most * NEARLY_FULL {
            true if most > 0 => {
                let text = format!(
                    "{text}: the table is nearly full; when it is full, new connections are dropped"
                );
                let run = format!("sysctl -w net.netfilter.nf_conntrack_max={}", most * 2);
                Finding::error(OBJECT, text).run(run)
            }
            _ => Finding::ok(OBJECT, text),
        });
    }
    findings
}
