//! The forwards that elements and rules make, for the connections that end with them.

use std::net::IpAddr;

use common::family::address;
use common::{Family, Protocol};
use nft::expr::Expr;
use nft::object::Rule;
use nft::uapi;

use super::elements::{Elements, element_target, host_port_of};
use super::set::Purpose;
use crate::conntrack::Stale;

/// The connections through elements of the maps.
pub fn of_elements(family: Family, elements: &Elements) -> Vec<Stale> {
    elements
        .iter()
        .filter(|((id, _), _)| matches!(id.purpose, Purpose::Dnat | Purpose::Shadowed))
        .filter_map(|((id, key), element)| {
            let port = host_port_of(*id, key)?;
            let (container, _) = element_target(*id, element)?;
            Some(Stale {
                family,
                protocol: port.protocol,
                host_port: port.port,
                host_ip: port.address,
                container: Some(container),
            })
        })
        .collect()
}

/// The connections through a rule that translates one port, ours or the reference's; `None` for a
/// rule of another form.
pub fn of_rule(family: Family, rule: &Rule) -> Option<Stale> {
    let (mut protocol, mut host_port, mut host_ip, mut container) = (None, None, None, None);
    let mut loaded: Option<&Expr> = None;
    for expr in &rule.exprs {
        match (expr, loaded) {
            (Expr::Compare { value, .. }, Some(Expr::Meta { key, .. }))
                if *key == uapi::META_L4PROTO =>
            {
                let is = |protocol: &Protocol| Some(&protocol.number()) == value.first();
                protocol = Protocol::ALL.into_iter().find(is);
            }
            (Expr::Compare { value, .. }, Some(Expr::Payload { base, offset, .. })) => {
                if *base == uapi::PAYLOAD_TRANSPORT_HEADER && *offset == 2 {
                    let port = value.as_slice().try_into().ok();
                    host_port = port.map(u16::from_be_bytes);
                } else if *offset == family.destination_offset() {
                    host_ip = address(value);
                }
            }
            (Expr::Load { value, .. }, _) => {
                container = container.or(address(value));
            }
            _ => {}
        }
        loaded = Some(expr);
    }
    let is_translation = matches!(rule.exprs.last(), Some(Expr::Dnat { .. }));
    let container: IpAddr = container.filter(|_| is_translation)?;
    Some(Stale {
        family,
        protocol: protocol?,
        host_port: host_port?,
        host_ip,
        container: Some(container),
    })
}

#[cfg(test)]
mod tests {
    use common::result::Prefix;

    use super::*;
    use crate::config::Masquerade;
    use crate::nftables::private;
    use crate::plan::{Forward, Forwards};

    #[test]
    fn a_rule_s_forward_is_read_back() {
        for (container, host_ip) in [
            ("10.22.0.2/20", Some("192.0.2.1")),
            ("10.22.0.2/16", None),
            ("fd00::2/64", Some("2001:db8::1")),
        ] {
            let container = Prefix::from_text(container).unwrap();
            let family = Family::of(container.addr);
            let forwards = Forwards {
                family,
                container,
                conditions: vec![],
                ports: vec![Forward {
                    protocol: Protocol::Udp,
                    host_ip: host_ip.map(|ip| ip.parse().unwrap()),
                    host_port: 53,
                    container_port: 5353,
                }],
                listed: vec![],
            };
            let rules = private::rules(&forwards, Masquerade::Needed);
            let stale: Vec<Stale> = rules.iter().filter_map(|r| of_rule(family, r)).collect();
            let expected = Stale {
                family,
                protocol: Protocol::Udp,
                host_port: 53,
                host_ip: forwards.ports[0].host_ip,
                container: Some(container.addr),
            };
            assert_eq!(stale, [expected]);
        }
    }
}
