//! The forwards that elements and rules make.

use std::net::{IpAddr, SocketAddr};

use common::family::address;
use common::{Family, Protocol};
use nft::expr::Expr;
use nft::object::Rule;
use nft::uapi;

use super::elements::Elements;
use super::queue::{self, Claim};
use crate::host_port::{Forward, HostPort};

/// Those of the claims in elements.
pub fn of_elements(elements: &Elements) -> Vec<Forward> {
    let queues = queue::of_elements(elements);
    let of_port = |(port, claims): (&HostPort, &Vec<Claim>)| {
        let within = None;
        let port = HostPort { within, ..*port };
        let forward = |claim: &Claim| Forward { port, to: claim.to };
        claims.iter().map(forward).collect::<Vec<_>>()
    };
    queues.iter().flat_map(of_port).collect()
}

/// That of a rule that translates one port, ours or the reference's; `None` for a rule of another form.
pub fn of_rule(family: Family, rule: &Rule) -> Option<Forward> {
    let (mut protocol, mut number, mut host) = (None, None, None);
    let (mut container, mut port) = (None, None);
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
                    number = value.as_slice().try_into().ok().map(u16::from_be_bytes);
                } else if *offset == family.destination_offset() {
                    host = address(value);
                }
            }
            (Expr::Load { value, .. }, _) => {
                container = container.or(address(value));
                // Padded or not; nft writes both.
                let first = value.get(..2).filter(|_| value.len() < 4);
                port = port.or(first
                    .and_then(|first| first.try_into().ok())
                    .map(u16::from_be_bytes));
            }
            _ => {}
        }
        loaded = Some(expr);
    }
    let is_translation = matches!(rule.exprs.last(), Some(Expr::Dnat { .. }));
    let container: IpAddr = container.filter(|_| is_translation)?;
    Some(Forward {
        port: HostPort {
            protocol: protocol?,
            address: host,
            within: None,
            number: number?,
        },
        to: SocketAddr::new(container, port?),
    })
}

#[cfg(test)]
mod tests {
    use common::result::Prefix;

    use super::*;
    use crate::nftables::private;
    use crate::options::Masquerade;
    use crate::plan::Forwards;

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
                    port: HostPort {
                        protocol: Protocol::Udp,
                        address: host_ip.map(|ip| ip.parse().unwrap()),
                        within: None,
                        number: 53,
                    },
                    to: SocketAddr::new(container.addr, 5353),
                }],
                only: None,
                listed: vec![],
            };
            let rules = private::rules(&forwards, Masquerade::Needed);
            let read: Vec<Forward> = rules.iter().filter_map(|r| of_rule(family, r)).collect();
            assert_eq!(read, forwards.ports);
        }
    }
}
