//! What one attachment adds to the sets: a pure function of its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use common::result::Prefix;

use super::family::{address, bytes};
use super::object::Element;
use super::owner;
use super::set::{ATTACHMENTS, INDEX_LEN, Purpose, SetId};
use crate::config::Masquerade;
use crate::host_port::HostPort;
use crate::mapping::{Family, Protocol};
use crate::plan::Forwards;

/// Elements by the set they stand in and their key.
pub type Elements = BTreeMap<(SetId, Vec<u8>), Element>;

/// Everything that a plan wants in the sets of its family.
pub fn of_plan(forwards: &Forwards, masquerade: Masquerade, owner: &str) -> Elements {
    let mut elements = Elements::new();
    let ports: BTreeSet<HostPort> = forwards.ports.iter().map(HostPort::from).collect();
    let (place, element) = index(owner, ports.len());
    elements.insert(place, element);
    for forward in &forwards.ports {
        let port = HostPort::from(forward);
        let mut add = |purpose, data| {
            let (set, key) = self::place(port, purpose, forwards.container.addr);
            let comment = Some(owner.to_owned());
            let siblings = None;
            let element = Element {
                key: key.clone(),
                data,
                comment,
                siblings,
            };
            // Of two mappings of one port, the first counts.
            elements.entry((set, key)).or_insert(element);
        };
        let target = target(forwards.container.addr, forward.container_port);
        add(Purpose::Dnat, Some(target));
        for purpose in masqueraded(forwards.family, forwards.container, masquerade) {
            add(purpose, None);
        }
    }
    elements
}

/// The element that says that an attachment is here, and how many host ports it has in the maps.
pub fn index(owner: &str, ports: usize) -> ((SetId, Vec<u8>), Element) {
    let mut key = owner::digest(owner, 15).into_bytes();
    key.resize(INDEX_LEN as usize, 0);
    let element = Element {
        key: key.clone(),
        data: None,
        comment: Some(owner.to_owned()),
        siblings: Some(u16::try_from(ports).unwrap_or(u16::MAX)),
    };
    ((ATTACHMENTS, key), element)
}

/// The sets that a host port stands in besides the map.
pub fn masqueraded(family: Family, container: Prefix, masquerade: Masquerade) -> Vec<Purpose> {
    let hairpin = Purpose::Hairpin(container.len);
    match (masquerade, family) {
        (Masquerade::Nothing, _) => vec![],
        (Masquerade::All, _) => vec![Purpose::MasqAll],
        (Masquerade::Needed, Family::V4) => vec![hairpin, Purpose::Localhost],
        (Masquerade::Needed, Family::V6) => vec![hairpin],
    }
}

/// The set and the key of a host port for one purpose; a hairpin's key begins with the container's
/// network.
pub fn place(port: HostPort, purpose: Purpose, container: IpAddr) -> (SetId, Vec<u8>) {
    let mut key = Vec::new();
    if let Purpose::Hairpin(prefix) = purpose {
        let mask = Family::of(container).mask(prefix);
        key.extend(
            bytes(container)
                .iter()
                .zip(mask)
                .map(|(byte, mask)| byte & mask),
        );
    }
    key.extend(port.address.map(bytes).unwrap_or_default());
    key.extend([port.protocol.number(), 0, 0, 0]);
    key.extend(padded_port(port.port));
    let set = SetId {
        purpose,
        by_address: port.address.is_some(),
    };
    (set, key)
}

/// The map's data: the container's address and port.
fn target(container: IpAddr, port: u16) -> Vec<u8> {
    let mut data = bytes(container);
    data.extend(padded_port(port));
    data
}

fn padded_port(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// The container's address and port in a map's data.
pub fn target_of(data: &[u8]) -> Option<(IpAddr, u16)> {
    let (container, port) = data.split_at_checked(data.len().checked_sub(4)?)?;
    let port = u16::from_be_bytes(port.get(..2)?.try_into().ok()?);
    Some((address(container)?, port))
}

/// The host port in a key of the map.
pub fn host_port_of(set: SetId, key: &[u8]) -> Option<HostPort> {
    let (front, end) = key.split_at_checked(key.len().checked_sub(8)?)?;
    let number = end.first()?;
    let protocol = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.number() == *number)?;
    let front = match set.purpose {
        // The network stands first, as long as what is left is one address or none.
        Purpose::Hairpin(_) if set.by_address => front.get(front.len() / 2..)?,
        Purpose::Hairpin(_) => &[],
        _ => front,
    };
    Some(HostPort {
        protocol,
        address: address(front),
        port: u16::from_be_bytes(end.get(4..6)?.try_into().ok()?),
    })
}

/// An element as nft prints it.
pub fn shown(set: SetId, element: &Element) -> String {
    if set == ATTACHMENTS {
        return format!("{} host ports", element.siblings.unwrap_or_default());
    }
    let port = host_port_of(set, &element.key)
        .map_or_else(|| format!("{:02x?}", element.key), |port| port.to_string());
    match element.data.as_deref().map(target_of) {
        Some(Some((IpAddr::V6(address), to))) => format!("{port} to [{address}]:{to}"),
        Some(Some((address, to))) => format!("{port} to {address}:{to}"),
        Some(None) => format!("{port} to {:02x?}", element.data),
        None => port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Forward;

    fn forwards(container: &str, host_ip: Option<&str>) -> Forwards {
        let container = Prefix::from_text(container).unwrap();
        Forwards {
            family: Family::of(container.addr),
            container,
            conditions: vec![],
            ports: vec![Forward {
                protocol: Protocol::Tcp,
                host_ip: host_ip.map(|ip| ip.parse().unwrap()),
                host_port: 8080,
                container_port: 80,
            }],
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

    #[test]
    fn a_hairpin_s_key_begins_with_the_network() {
        let port = HostPort::from(&forwards("10.22.0.2/16", None).ports[0]);
        let (_, key) = place(port, Purpose::Hairpin(20), "10.22.31.2".parse().unwrap());
        assert_eq!(key, [10, 22, 16, 0, 6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
    }

    #[test]
    fn broken_bytes_are_no_port_and_no_target() {
        let set = SetId {
            purpose: Purpose::Dnat,
            by_address: false,
        };
        for length in 0..8 {
            assert_eq!(host_port_of(set, &vec![6; length]), None);
            assert_eq!(target_of(&vec![6; length.min(7)]), None);
        }
    }
}
