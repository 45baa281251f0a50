//! What one attachment wants in the sets: a pure function of its plan.

use std::collections::BTreeMap;

use common::Family;
use common::result::Prefix;

use super::elements::{Elements, index};
use super::queue::to_elements;
use super::queue::{Claim, Marks};
use super::set::Purpose;
use crate::host_port::HostPort;
use crate::options::Masquerade;
use crate::plan::Forwards;

/// The claims of a plan. With conditions there are none: rules decide then.
pub fn claims(
    forwards: &Forwards,
    masquerade: Masquerade,
    owner: &str,
) -> BTreeMap<HostPort, Claim> {
    let mut claims = BTreeMap::new();
    if !forwards.conditions.is_empty() {
        return claims;
    }
    let purposes = masqueraded(forwards.family, forwards.container, masquerade);
    let marks = Marks::of(purposes);
    for forward in &forwards.ports {
        let claim = Claim {
            owner: owner.to_owned(),
            to: forward.to,
            marks,
        };
        // Of two mappings of one port, the first counts.
        claims
            .entry(limited(forwards, forward.port))
            .or_insert(claim);
    }
    claims
}

/// A port of a plan with the limits that it is mapped in.
pub fn limited(forwards: &Forwards, port: HostPort) -> HostPort {
    let only = forwards.only.as_ref().filter(|_| port.address.is_none());
    HostPort {
        within: only.map(|only| only.scope),
        ..port
    }
}

/// Everything that a plan wants where nobody else claims its ports.
pub fn of_plan(forwards: &Forwards, masquerade: Masquerade, owner: &str) -> Elements {
    let claims = claims(forwards, masquerade, owner);
    let (place, element) = index(owner, claims.len());
    let queues = claims.into_iter().map(|(port, claim)| (port, vec![claim]));
    let mut elements = to_elements(&queues.collect(), &Elements::new(), |_| true);
    elements.insert(place, element);
    elements
}

/// The sets that a host port is in besides the map.
pub fn masqueraded(family: Family, container: Prefix, masquerade: Masquerade) -> Vec<Purpose> {
    let hairpin = Purpose::Hairpin(container.len);
    match (masquerade, family) {
        (Masquerade::Nothing, _) => vec![],
        (Masquerade::All, _) => vec![Purpose::MasqAll],
        (Masquerade::Needed, Family::V4) => vec![hairpin, Purpose::Localhost],
        (Masquerade::Needed, Family::V6) => vec![hairpin],
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::host_port::Forward;
    use crate::nftables::claim::shown;
    use crate::nftables::set::ATTACHMENTS;
    use common::Protocol;

    fn forwards(container: &str, host_ip: Option<&str>) -> Forwards {
        let container = Prefix::from_text(container).unwrap();
        Forwards {
            family: Family::of(container.addr),
            container,
            conditions: vec![],
            ports: vec![Forward {
                port: HostPort {
                    protocol: Protocol::Tcp,
                    address: host_ip.map(|ip| ip.parse().unwrap()),
                    within: None,
                    number: 8080,
                },
                to: SocketAddr::new(container.addr, 80),
            }],
            only: None,
            listed: vec![],
        }
    }

    fn shown_elements(container: &str, host_ip: Option<&str>, masquerade: Masquerade) -> String {
        of_plan(&forwards(container, host_ip), masquerade, "o")
            .iter()
            .filter(|((set, _), _)| *set != ATTACHMENTS)
            .map(|((set, _), element)| format!("{}: {}", set.name(), shown(*set, element)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn a_port_stands_in_the_map_and_in_the_sets_of_what_is_masqueraded() {
        assert_eq!(
            shown_elements("10.22.0.2/16", None, Masquerade::Needed),
            "hostports: 8080/tcp to 10.22.0.2:80, localhost: 8080/tcp, hairpin16: 8080/tcp"
        );
        assert_eq!(
            shown_elements("fd00::2/64", Some("2001:db8::1"), Masquerade::Needed),
            "hostips: [2001:db8::1]:8080/tcp to [fd00::2]:80, hairpin64_hostip: [2001:db8::1]:8080/tcp"
        );
        assert_eq!(
            shown_elements("10.22.0.2/16", None, Masquerade::All),
            "hostports: 8080/tcp to 10.22.0.2:80, masq_all: 8080/tcp"
        );
        assert_eq!(
            shown_elements("10.22.0.2/16", None, Masquerade::Nothing),
            "hostports: 8080/tcp to 10.22.0.2:80"
        );
    }

    #[test]
    fn keys_have_the_length_that_the_set_says() {
        for (container, host_ip) in [
            ("10.22.0.2/16", Some("192.0.2.1")),
            ("10.22.0.2/16", None),
            ("fd00::2/64", Some("2001:db8::1")),
            ("fd00::2/64", None),
        ] {
            let forwards = forwards(container, host_ip);
            for masquerade in [Masquerade::Needed, Masquerade::All] {
                for ((id, key), element) in of_plan(&forwards, masquerade, "o") {
                    let set = id.set(forwards.family);
                    assert_eq!(key.len(), set.key_len as usize, "{}", set.name);
                    let data = element.data.map(|data| data.len() as u32);
                    assert_eq!(data, set.data.map(|(_, len)| len), "{}", set.name);
                }
            }
        }
    }
}
