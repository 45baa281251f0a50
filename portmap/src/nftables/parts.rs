//! Parts that several rules have.

use super::expr::{Expr, FIRST, Register};
use super::uapi;
use crate::mapping::Family;

/// The bit by which postrouting knows what to masquerade: the reference's default mark.
pub const MARK: u32 = 0x2000;

/// Loads an address of the network header.
pub fn address_at(family: Family, offset: u32, into: Register) -> Expr {
    Expr::Payload {
        base: uapi::PAYLOAD_NETWORK_HEADER,
        offset,
        len: u32::from(family.address_len()),
        into,
    }
}

/// Goes on only if the register has that value.
pub fn equal(value: impl Into<Vec<u8>>) -> Expr {
    Expr::Compare {
        from: FIRST,
        op: uapi::CMP_EQ,
        value: value.into(),
    }
}

/// `ip saddr ADDRESS`
pub fn source_is(family: Family, address: &[u8]) -> [Expr; 2] {
    let load = address_at(family, family.source_offset(), FIRST);
    [load, equal(address)]
}

/// `meta mark set meta mark | 0x2000`
pub fn set_mark() -> [Expr; 3] {
    let (key, into, from) = (uapi::META_MARK, FIRST, FIRST);
    [
        Expr::Meta { key, into },
        Expr::Bitwise {
            from,
            into,
            mask: (!MARK).to_ne_bytes().to_vec(),
            xor: MARK.to_ne_bytes().to_vec(),
        },
        Expr::SetMeta { key, from },
    ]
}

/// What a mask leaves of the register.
pub fn masked(mask: u32) -> Expr {
    Expr::Bitwise {
        from: FIRST,
        into: FIRST,
        mask: mask.to_ne_bytes().to_vec(),
        xor: vec![0; 4],
    }
}
