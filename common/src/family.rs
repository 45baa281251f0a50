//! The two IP versions: what they are called, and how their addresses and headers are laid out.

use std::fmt;
use std::net::IpAddr;

/// `NFPROTO_IPV4` and `NFPROTO_IPV6` of include/uapi/linux/netfilter.h, which are `AF_INET` and `AF_INET6`.
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

/// An IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(addr: IpAddr) -> Family {
        match addr {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// As nft writes it.
    pub fn nft_name(self) -> &'static str {
        match self {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }

    /// `NFPROTO_*`, the family in every message's header.
    pub fn nf_number(self) -> u8 {
        match self {
            Family::V4 => NFPROTO_IPV4,
            Family::V6 => NFPROTO_IPV6,
        }
    }

    /// Bytes of an address.
    pub const fn address_len(self) -> u8 {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }

    /// Bits of an address.
    pub fn bits(self) -> u8 {
        self.address_len() * 8
    }

    /// The offset of the source address in the network header, in bytes.
    pub const fn source_offset(self) -> u32 {
        match self {
            Family::V4 => 12,
            Family::V6 => 8,
        }
    }

    /// The offset of the destination address in the network header, in bytes.
    pub const fn destination_offset(self) -> u32 {
        self.source_offset() + self.address_len() as u32
    }

    /// The mask of a prefix length.
    pub fn mask(self, prefix: u8) -> Vec<u8> {
        (0..self.address_len())
            .map(|index| {
                let ones = prefix.saturating_sub(index * 8).min(8);
                !u8::try_from(0xffu16 >> ones).unwrap_or(0)
            })
            .collect()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// An address's bytes in network order.
pub fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The address in bytes of network order, if their number is an address's.
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_prefixes_of_ones() {
        assert_eq!(Family::V4.mask(16), [255, 255, 0, 0]);
        assert_eq!(Family::V4.mask(0), [0; 4]);
        assert_eq!(Family::V4.mask(32), [255; 4]);
        assert_eq!(Family::V4.mask(21), [255, 255, 248, 0]);
        assert_eq!(Family::V6.mask(60)[6..9], [255, 240, 0]);
    }
}
