//! Parts of rules, as nft makes them of its language.

use common::Family;

use crate::expr::{Expr, FIRST, Register};
use crate::uapi;

/// Loads an address of the network header.
pub fn address_at(family: Family, offset: u32, into: Register) -> Expr {
    Expr::Payload {
        base: uapi::PAYLOAD_NETWORK_HEADER,
        offset,
        len: u32::from(family.address_len()),
        into,
    }
}

/// Continues only if the register has that value.
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

/// `meta mark set meta mark | MARK`
pub fn set_mark(mark: u32) -> [Expr; 3] {
    let (key, into, from) = (uapi::META_MARK, FIRST, FIRST);
    [
        Expr::Meta { key, into },
        Expr::Bitwise {
            from,
            into,
            mask: (!mark).to_ne_bytes().to_vec(),
            xor: mark.to_ne_bytes().to_vec(),
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

/// Matches an address in a network, as nft writes it: whole bytes without a mask.
pub fn network(offset: u32, address: &[u8], prefix: u8, family: Family) -> Vec<Expr> {
    if prefix == 0 {
        return vec![];
    }
    let whole = prefix.is_multiple_of(8);
    let kept = usize::from(if whole {
        prefix / 8
    } else {
        family.address_len()
    });
    let mask = family.mask(prefix);
    let value: Vec<u8> = address
        .iter()
        .zip(&mask)
        .map(|(a, m)| a & m)
        .take(kept)
        .collect();
    let mut exprs = vec![Expr::Payload {
        base: uapi::PAYLOAD_NETWORK_HEADER,
        offset,
        len: u32::try_from(kept).unwrap_or(0),
        into: FIRST,
    }];
    if !whole {
        let xor = vec![0; mask.len()];
        let (from, into) = (FIRST, FIRST);
        exprs.push(Expr::Bitwise {
            from,
            into,
            mask,
            xor,
        });
    }
    exprs.push(equal(value));
    exprs
}

/// nft's numbers of types (`TYPE_*` in its include/datatype.h): the kernel keeps them for nft's prints and does not
/// use them.
const IPADDR: u32 = 7;
const IP6ADDR: u32 = 8;
/// `TYPE_INET_PROTOCOL`
pub const PROTOCOL: u32 = 12;
/// `TYPE_INET_SERVICE`
pub const SERVICE: u32 = 13;

/// The number of the address's type.
pub fn address_type(family: Family) -> u32 {
    match family {
        Family::V4 => IPADDR,
        Family::V6 => IP6ADDR,
    }
}

/// The number of a concatenation: six bits a part.
pub fn concatenated(parts: &[u32]) -> u32 {
    parts.iter().fold(0, |all, part| all << 6 | part)
}

/// The bytes of each part of a concatenation, without what pads it.
pub fn part_lens(mut concatenation: u32) -> Vec<u32> {
    let mut lens = Vec::new();
    while concatenation > 0 {
        lens.push(match concatenation & 0x3f {
            IP6ADDR => 16,
            PROTOCOL => 1,
            SERVICE => 2,
            _ => 4,
        });
        concatenation >>= 6;
    }
    lens.reverse();
    lens
}
