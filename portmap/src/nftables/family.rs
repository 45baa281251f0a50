//! What the kernel and nft call the two IP versions, each of which has a table of its own.

use std::net::IpAddr;

use super::uapi;
use crate::mapping::Family;

impl Family {
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
            Family::V4 => uapi::IPV4,
            Family::V6 => uapi::IPV6,
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

    /// Where the source address stands in the network header, in bytes.
    pub const fn source_offset(self) -> u32 {
        match self {
            Family::V4 => 12,
            Family::V6 => 8,
        }
    }

    /// Where the destination address stands in the network header, in bytes.
    pub const fn destination_offset(self) -> u32 {
        self.source_offset() + self.address_len() as u32
    }

    /// nft's number of the address's type (`TYPE_IPADDR`, `TYPE_IP6ADDR` in its
    /// include/datatype.h): the kernel keeps it for nft's prints and does not use it.
    pub fn address_type(self) -> u32 {
        match self {
            Family::V4 => 7,
            Family::V6 => 8,
        }
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
