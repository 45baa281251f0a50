//! Offloads of an interface, as `ethtool -k` shows and `ethtool -K` changes them.
//!
//! Messages and attributes: include/uapi/linux/ethtool_netlink.h (Linux 5.8), genetlink.h.

use nix::errno::Errno;

use super::netlink::{GET, Message, Netlink, Refusal, attribute, each_attribute, text, u16_at};
use super::nla::{Nla, body};
use crate::error::{Code, Error};

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and its attributes.
const CONTROL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_HW: u16 = 2;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

/// Bytes before the attributes (`struct genlmsghdr`).
const HEADER: usize = 4;

/// One offload of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// The kernel's name for it, such as `tx-tcp-segmentation`.
    pub name: String,
    /// Whether it can be switched on this interface.
    pub is_changeable: bool,
    /// How it was switched. It is not active where something that it needs is off.
    pub wanted: bool,
    /// Whether it is at work.
    pub active: bool,
}

/// A socket of the family `ethtool`, which stays in the namespace it was opened in.
#[derive(Debug)]
pub struct Ethtool {
    netlink: Netlink,
    family: u16,
}

impl Ethtool {
    /// Opens a socket in the calling thread's namespace.
    ///
    /// # Errors
    /// Code 103 where the kernel has no such family (before 5.8), else code 100.
    pub fn open() -> Result<Ethtool, Error> {
        let mut netlink = Netlink::generic()?;
        let family = family(&mut netlink).map_err(|refusal| {
            let code = match refusal.errno {
                Errno::ENOENT => Code::Unsupported,
                _ => Code::System,
            };
            Error::new(code, "look up the kernel's ethtool interface").with_details(refusal)
        })?;
        Ok(Ethtool { netlink, family })
    }

    /// Every offload that the kernel knows, and what it is on an interface.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn features(&mut self, index: u32) -> Result<Vec<Feature>, Refusal> {
        let replies = self.request(ETHTOOL_MSG_FEATURES_GET, index, vec![])?;
        let read = replies.iter().find_map(decode);
        read.ok_or_else(|| Errno::EBADMSG.into())
    }

    /// Switches offloads. What the kernel does not want to switch stays as it is, without an error.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn switch(&mut self, index: u32, changes: &[(String, bool)]) -> Result<(), Refusal> {
        let bits = changes.iter().map(|(name, on)| {
            let mut bit = vec![Nla::text(ETHTOOL_A_BITSET_BIT_NAME, name)];
            bit.extend(on.then(|| Nla::flag(ETHTOOL_A_BITSET_BIT_VALUE)));
            Nla::nested(ETHTOOL_A_BITSET_BITS_BIT, bit)
        });
        let bits = Nla::nested(ETHTOOL_A_BITSET_BITS, bits.collect::<Vec<Nla>>());
        let wanted = Nla::nested(ETHTOOL_A_FEATURES_WANTED, [bits]);
        self.request(ETHTOOL_MSG_FEATURES_SET, index, vec![wanted])
            .map(drop)
    }

    fn request(
        &mut self,
        command: u8,
        index: u32,
        attributes: Vec<Nla>,
    ) -> Result<Vec<Message>, Refusal> {
        let index = Nla::u32(ETHTOOL_A_HEADER_DEV_INDEX, index);
        let mut all = vec![Nla::nested(ETHTOOL_A_FEATURES_HEADER, [index])];
        all.extend(attributes);
        let body = body(&header(command), &all)?;
        self.netlink.request_bytes(self.family, GET, &body)
    }
}

/// Command, version 1, and two bytes that are kept free.
fn header(command: u8) -> [u8; HEADER] {
    [command, 1, 0, 0]
}

fn family(netlink: &mut Netlink) -> Result<u16, Refusal> {
    let name = Nla::text(CTRL_ATTR_FAMILY_NAME, "ethtool");
    let body = body(&header(CTRL_CMD_GETFAMILY), &[name])?;
    let replies = netlink.request_bytes(CONTROL, GET, &body)?;
    let id = |reply: &Message| {
        u16_at(
            attribute(reply.body.get(HEADER..)?, CTRL_ATTR_FAMILY_ID)?,
            0,
        )
    };
    let id = replies.iter().find_map(id);
    id.ok_or_else(|| Errno::EBADMSG.into())
}

/// Reads an answer; `None` for any other message.
fn decode(message: &Message) -> Option<Vec<Feature>> {
    let attributes = message.body.get(HEADER..)?;
    let bits = |kind| attribute(attributes, kind).map(|set| bits(set).collect::<Vec<_>>());
    let (wanted, active) = (
        bits(ETHTOOL_A_FEATURES_WANTED)?,
        bits(ETHTOOL_A_FEATURES_ACTIVE)?,
    );
    let is_in = |set: &[(String, bool)], name: &str| set.iter().any(|(known, _)| known == name);
    let features = bits(ETHTOOL_A_FEATURES_HW)?.into_iter();
    let features = features.map(|(name, is_changeable)| Feature {
        wanted: is_in(&wanted, &name),
        active: is_in(&active, &name),
        is_changeable,
        name,
    });
    Some(features.collect())
}

/// The names in a set of bits, and whether each has its value flag. Sets without a mask hold the bits
/// that are on, and no flags.
fn bits(set: &[u8]) -> impl Iterator<Item = (String, bool)> {
    let list = attribute(set, ETHTOOL_A_BITSET_BITS).unwrap_or_default();
    each_attribute(list).filter_map(|(_, bit)| {
        let name = attribute(bit, ETHTOOL_A_BITSET_BIT_NAME)?;
        let is_set = attribute(bit, ETHTOOL_A_BITSET_BIT_VALUE).is_some();
        Some((text(name), is_set))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_offloads_that_are_fixed_and_some_that_are_not() {
        let mut ethtool = Ethtool::open().unwrap();
        let features = ethtool.features(1).unwrap();
        let find = |name: &str| features.iter().find(|f| f.name == name).unwrap();
        assert!(features.len() > 40, "{}", features.len());
        let gso = find("tx-generic-segmentation");
        assert!(gso.is_changeable && gso.wanted && gso.active, "{gso:?}");
        let fixed = find("vlan-challenged");
        assert!(!fixed.is_changeable && fixed.active, "{fixed:?}");
        assert_eq!(
            ethtool.features(4_000_000).unwrap_err().errno,
            Errno::ENODEV
        );
    }
}
