//! Elements of our sets: their keys and data, written and read.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use common::family::{address, bytes};
use common::{Family, Protocol};
use nft::object::Element;

use super::owner;
use super::set::{ATTACHMENTS, By, INDEX_LEN, On, Purpose, SetId};
use crate::host_port::HostPort;

/// Elements by their set and key.
pub type Elements = BTreeMap<(SetId, Vec<u8>), Element>;

/// The element that says that an attachment is here, and how many host ports it has in the maps.
pub fn index(owner: &str, ports: usize) -> ((SetId, Vec<u8>), Element) {
    let mut key = owner::digest(owner, 15).into_bytes();
    key.resize(INDEX_LEN as usize, 0);
    let element = Element {
        key: key.clone(),
        key_end: None,
        data: None,
        comment: Some(owner.to_owned()),
        siblings: Some(u16::try_from(ports).unwrap_or(u16::MAX)),
    };
    ((ATTACHMENTS, key), element)
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
    key.extend(padded_port(port.number));
    let by = By::one(on(port));
    (SetId { purpose, by }, key)
}

/// On which addresses a port is mapped.
pub fn on(port: HostPort) -> On {
    match (port.address, port.within) {
        (Some(_), _) => On::One,
        (None, Some(scope)) => On::Within(scope),
        (None, None) => On::All,
    }
}

/// The map's data: the container's address and port.
pub fn target(to: SocketAddr) -> Vec<u8> {
    let mut data = bytes(to.ip());
    data.extend(padded_port(to.port()));
    data
}

/// A port, or another number of 16 bits, as a part of a key or of data.
pub fn padded_port(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// The container's address and port in a map's data.
pub fn target_of(data: &[u8]) -> Option<SocketAddr> {
    let (container, port) = data.split_at_checked(data.len().checked_sub(4)?)?;
    let port = u16::from_be_bytes(port.get(..2)?.try_into().ok()?);
    Some(SocketAddr::new(address(container)?, port))
}

/// The same of an element; of one who waits, what is masqueraded follows.
pub fn element_target(set: SetId, element: &Element) -> Option<SocketAddr> {
    let data = element.data.as_deref()?;
    match set.purpose {
        Purpose::Shadowed => target_of(data.get(..data.len().checked_sub(4)?)?),
        _ => target_of(data),
    }
}

/// The host port in a key of the map; `None` for one of a set of ranges.
pub fn host_port_of(set: SetId, key: &[u8]) -> Option<HostPort> {
    decoded(set, key).filter(|_| !set.by.is_range)
}

/// The host port in a key of any set.
pub fn decoded(set: SetId, key: &[u8]) -> Option<HostPort> {
    let key = match set.purpose {
        Purpose::Shadowed => key.get(..key.len().checked_sub(4)?)?,
        _ => key,
    };
    let (front, end) = key.split_at_checked(key.len().checked_sub(8)?)?;
    let number = end.first()?;
    let protocol = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.number() == *number)?;
    let front = match set.purpose {
        // The network comes first, as long as what is left is one address or none.
        Purpose::Hairpin(_) if set.by.on == On::One => front.get(front.len() / 2..)?,
        Purpose::Hairpin(_) => &[],
        _ => front,
    };
    Some(HostPort {
        protocol,
        address: address(front),
        within: set.by.scope(),
        number: u16::from_be_bytes(end.get(4..6)?.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hairpin_s_key_begins_with_the_network() {
        let port = HostPort {
            protocol: Protocol::Tcp,
            address: None,
            within: None,
            number: 8080,
        };
        let (_, key) = place(port, Purpose::Hairpin(20), "10.22.31.2".parse().unwrap());
        assert_eq!(key, [10, 22, 16, 0, 6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
    }

    #[test]
    fn broken_bytes_are_no_port_and_no_target() {
        let set = SetId {
            purpose: Purpose::Dnat,
            by: By::PORT,
        };
        for length in 0..8 {
            assert_eq!(host_port_of(set, &vec![6; length]), None);
            assert_eq!(target_of(&vec![6; length.min(7)]), None);
        }
    }
}
