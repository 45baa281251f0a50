//! Rules of others that keep packets away from mapped ports, or answers from leaving.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::Family;
use common::cache::Entry;
use common::decode::Object;
use common::json::Json;
use portmap::address::interface_towards;
use portmap::firewall::Hook;

use super::ports::port;
use super::{Node, found};
use crate::finding::{Finding, counted, some};
use crate::firewall::{End, Filtered, Firewall, Packet, Verdict};
use crate::mappings::{Mapping, arriving, outside};
use crate::requests::parts;
use crate::state::State;

/// An address that no link has for a neighbour (TEST-NET-1 and the prefix for documentation).
pub fn elsewhere(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, 1).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    }
}

pub(super) fn findings(node: &Node<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (family, firewall) in node.firewalls.iter() {
        let is_nft = |(table, _): (&str, usize)| table.ends_with(" kube-proxy");
        if firewall.has_chain("KUBE-SERVICES") || firewall.tables().any(is_nft) {
            let text = "kube-proxy is in use: a Service with the same port takes precedence";
            findings.push(Finding::ok(format!("firewall ({family})"), text));
        }
        let mut look = Look {
            node,
            family,
            firewall,
            findings: Vec::new(),
        };
        look.ahead();
        look.before();
        look.forward();
        look.masquerade();
        findings.append(&mut look.findings);
    }
    findings
}

struct Look<'a> {
    node: &'a Node<'a>,
    family: Family,
    firewall: &'a Firewall,
    findings: Vec<Finding>,
}

impl Look<'_> {
    fn mapped(&self) -> impl Iterator<Item = &Mapping> {
        let is_it = |mapping: &&Mapping| {
            Family::of(mapping.row.forward.to.ip()) == self.family && mapping.state.may_serve()
        };
        self.node.mappings.iter().filter(is_it)
    }

    /// Rules that take the packets of a mapped port before they come to ours.
    fn ahead(&mut self) {
        let (mut sure, mut doubtful) = (ByRule::new(), ByRule::new());
        for Mapping { row, state, .. } in self.mapped() {
            if let State::Taken(end) = state {
                let by_rule = if end.is_sure {
                    &mut sure
                } else {
                    &mut doubtful
                };
                note(by_rule, end, port(row));
            }
        }
        self.told(doubtful, |rule, ports| {
            let text = format!("{rule} comes before ours and may take {ports}");
            let finding = Finding::warning("host ports", text);
            finding.run("cnictl explain PORT --from ADDRESS")
        });
        self.told(sure, |rule, ports| {
            let text = format!("{rule} comes before ours and takes {ports}");
            Finding::error("host ports", text).run("cnictl explain PORT")
        });
    }

    fn told(&mut self, by_rule: ByRule, finding: impl Fn(&str, &str) -> Finding) {
        let all = by_rule.iter();
        let all = all.map(|(rule, ports)| finding(rule, &some(ports)));
        self.findings.extend(all);
    }

    fn dropped(&mut self, object: &str, by_rule: ByRule) {
        self.told(by_rule, |rule, ports| {
            let text = format!("{rule} drops packets to {ports}");
            Finding::error(object, text).run("cnictl explain PORT")
        });
    }

    /// What drops the packets of a mapped port before anything translates them.
    fn before(&mut self) {
        let object = format!("PREROUTING ({})", self.family);
        let addresses = found(&object, outside(self.family), &mut self.findings);
        let addresses = addresses.unwrap_or_default();
        let mut dropped = ByRule::new();
        for Mapping { row, .. } in self.mapped() {
            let mut ends = arriving(row, &addresses).filter_map(|packet| {
                match self.firewall.filters(Hook::Prerouting, &packet) {
                    Filtered::Dropped(end) => Some(end),
                    Filtered::Passed | Filtered::Unknown(_) => None,
                }
            });
            if let Some(end) = ends.next() {
                note(&mut dropped, &end, port(row));
            }
        }
        self.dropped(&object, dropped);
    }

    /// What becomes of packets on their way to containers.
    fn forward(&mut self) {
        let object = format!("FORWARD ({})", self.family);
        let (mut dropped, mut unknown) = (ByRule::new(), ByRule::new());
        let mut passed = 0;
        let targets: BTreeSet<_> = self
            .mapped()
            .map(|m| (m.row.forward.to, m.row.forward.port.protocol))
            .collect();
        for (to, protocol) in targets {
            let out = interface_towards(to.ip());
            let Some(out) = found(&object, out, &mut self.findings) else {
                continue;
            };
            let packet = Packet {
                from: None,
                to: to.ip(),
                is_local: false,
                protocol,
                port: to.port(),
                interfaces: (None, out),
                states: &["NEW", "DNAT"],
            };
            let port = format!("{to}/{protocol}");
            match self.firewall.filters(Hook::Forward, &packet) {
                Filtered::Passed => passed += 1,
                Filtered::Dropped(end) => note(&mut dropped, &end, port),
                Filtered::Unknown(end) => note(&mut unknown, &end, port),
            }
        }
        if passed > 0 {
            let text = format!("passes packets to {}", counted(passed, "mapped port"));
            self.findings.push(Finding::ok(&object, text));
        }
        self.dropped(&object, dropped);
        self.told(unknown, |rule, ports| {
            let text =
                format!("{rule} may drop packets to {ports}: cnictl does not know its match");
            Finding::warning(&object, text).run("cnictl explain PORT --probe")
        });
    }

    /// What main plugins made for packets of containers to elsewhere, which a flush removes and nothing
    /// restores.
    fn masquerade(&mut self) {
        let to = elsewhere(self.family);
        let out = interface_towards(to);
        let out = found("masquerading", out, &mut self.findings).flatten();
        let mut lost = Vec::new();
        let node = self.node;
        for entry in node
            .cache
            .entries
            .iter()
            .filter(|entry| is_masqueraded(entry))
        {
            for from in addresses(entry).filter(|ip| Family::of(*ip) == self.family) {
                let packet = Packet {
                    from: Some(from),
                    to,
                    is_local: false,
                    protocol: common::Protocol::Tcp,
                    port: 443,
                    interfaces: (None, out.clone()),
                    states: &["NEW"],
                };
                let ends = self.firewall.ends(Hook::Postrouting, true, &packet);
                let mut ends = ends.iter().flatten();
                if ends.all(|end| end.verdict == Verdict::Accept) {
                    lost.push(format!("{from} of {}", node.owners.name(&entry.attachment)));
                }
            }
        }
        if !lost.is_empty() {
            let text = format!(
                "ipMasq is true, but no rule masquerades {}: a flush removed the main plugin's \
                 rules, and only ADD restores them: restart these pods",
                some(&lost)
            );
            self.findings.push(Finding::error("masquerading", text));
        }
    }
}

/// Ports by the rule that decides.
type ByRule = BTreeMap<String, Vec<String>>;

fn note(told: &mut ByRule, end: &End, port: String) {
    told.entry(end.text()).or_default().push(port);
}

/// Whether the main plugin of an attachment was to masquerade.
fn is_masqueraded(entry: &Entry) -> bool {
    let main = parts(entry).into_iter().next();
    main.is_some_and(|main| Object::root(&main).boolean("ipMasq") == Ok(Some(true)))
}

/// The addresses of an attachment's result.
pub fn addresses(entry: &Entry) -> impl Iterator<Item = IpAddr> {
    let texts = match &entry.result {
        Some(Json::Object(fields)) => {
            let ips = Object::root(fields).list("ips").unwrap_or_default();
            let text = |ip: &common::decode::Value<'_>| ip.object().ok()?.string("address").ok()?;
            ips.iter().filter_map(text).collect()
        }
        _ => Vec::<String>::new(),
    };
    texts
        .into_iter()
        .filter_map(|text| text.split('/').next()?.parse().ok())
}
