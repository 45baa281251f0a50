//! Expressions, read back.

use std::ops::RangeInclusive;

use common::sys::netlink::{attribute, each_attribute, text};

use super::{Expr, Register};
use crate::object::Counters;
use crate::uapi;

impl Expr {
    /// Reads one element of `NFTA_RULE_EXPRESSIONS`.
    pub fn decode(element: &[u8]) -> Expr {
        let name = attribute(element, uapi::EXPR_NAME)
            .map(text)
            .unwrap_or_default();
        let fields = Fields(attribute(element, uapi::EXPR_DATA).unwrap_or(&[]));
        known(&name, &fields).unwrap_or(Expr::Other(name))
    }

    /// The expressions of a rule, from `NFTA_RULE_EXPRESSIONS`, without those that do nothing.
    pub fn decode_all(expressions: &[u8]) -> Vec<Expr> {
        each_attribute(expressions)
            .filter(|(_, element)| !does_nothing(element))
            .map(|(_, element)| Expr::decode(element))
            .collect()
    }
}

/// Whether it turns the bytes of a single byte round: nft does so with a protocol in a key of intervals.
fn does_nothing(element: &[u8]) -> bool {
    let fields = Fields(attribute(element, uapi::EXPR_DATA).unwrap_or(&[]));
    let name = attribute(element, uapi::EXPR_NAME).map(text);
    let registers = [uapi::BYTEORDER_SREG, uapi::BYTEORDER_DREG].map(|kind| fields.number(kind));
    let [from, into] = registers;
    name.as_deref() == Some("byteorder")
        && from == into
        && fields.number(uapi::BYTEORDER_LEN) == Some(1)
}

/// One of ours, if everything in it is as we would write it.
fn known(name: &str, fields: &Fields) -> Option<Expr> {
    Some(match name {
        "meta" if fields.only(uapi::META_DREG..=uapi::META_KEY) => Expr::Meta {
            into: fields.register(uapi::META_DREG)?,
            key: fields.number(uapi::META_KEY)?,
        },
        "meta" if fields.only(uapi::META_KEY..=uapi::META_SREG) => Expr::SetMeta {
            key: fields.number(uapi::META_KEY)?,
            from: fields.register(uapi::META_SREG)?,
        },
        "payload" if fields.only(uapi::PAYLOAD_DREG..=uapi::PAYLOAD_LEN) => Expr::Payload {
            into: fields.register(uapi::PAYLOAD_DREG)?,
            base: fields.number(uapi::PAYLOAD_BASE)?,
            offset: fields.number(uapi::PAYLOAD_OFFSET)?,
            len: fields.number(uapi::PAYLOAD_LEN)?,
        },
        // 6 is the operation, of which 0 is mask and xor.
        "bitwise"
            if fields.only(uapi::BITWISE_SREG..=uapi::BITWISE_OP)
                && fields.is_default(uapi::BITWISE_OP) =>
        {
            Expr::Bitwise {
                from: fields.register(uapi::BITWISE_SREG)?,
                into: fields.register(uapi::BITWISE_DREG)?,
                mask: fields.data(uapi::BITWISE_MASK)?,
                xor: fields.data(uapi::BITWISE_XOR)?,
            }
        }
        "cmp" if fields.only(uapi::CMP_SREG..=uapi::CMP_DATA) => Expr::Compare {
            from: fields.register(uapi::CMP_SREG)?,
            op: fields.number(uapi::CMP_OP)?,
            value: fields.data(uapi::CMP_DATA)?,
        },
        // 5 are the flags, of which `NFT_LOOKUP_F_INV` inverts.
        "lookup"
            if fields.only(uapi::LOOKUP_SET..=uapi::LOOKUP_FLAGS)
                && fields.is_default(uapi::LOOKUP_FLAGS) =>
        {
            Expr::Lookup {
                set: fields.text(uapi::LOOKUP_SET)?,
                from: fields.register(uapi::LOOKUP_SREG)?,
                into: fields.register(uapi::LOOKUP_DREG),
            }
        }
        "fib" if fields.only(uapi::FIB_DREG..=uapi::FIB_FLAGS) => Expr::Fib {
            into: fields.register(uapi::FIB_DREG)?,
            result: fields.number(uapi::FIB_RESULT)?,
            flags: fields.number(uapi::FIB_FLAGS)?,
        },
        "ct" if fields.only(uapi::CT_DREG..=uapi::CT_KEY) => Expr::Ct {
            into: fields.register(uapi::CT_DREG)?,
            key: fields.number(uapi::CT_KEY)?,
        },
        // 3 pads.
        "counter" if fields.only(uapi::COUNTER_BYTES..=3) => {
            Expr::Counter(Counters::decode(fields.0)?)
        }
        "nat" => dnat(fields)?,
        "masq"
            if fields.only(uapi::MASQ_FLAGS..=uapi::MASQ_FLAGS)
                && fields.is_default(uapi::MASQ_FLAGS) =>
        {
            Expr::Masquerade
        }
        "immediate"
            if fields.only(uapi::IMMEDIATE_DREG..=uapi::IMMEDIATE_DATA)
                && fields.is_default(uapi::IMMEDIATE_DREG) =>
        {
            immediate(fields)?
        }
        "immediate" if fields.only(uapi::IMMEDIATE_DREG..=uapi::IMMEDIATE_DATA) => Expr::Load {
            into: fields.register(uapi::IMMEDIATE_DREG)?,
            value: fields.data(uapi::IMMEDIATE_DATA)?,
        },
        _ => return None,
    })
}

/// The kernel reports the upper ends of ranges too, and flags that follow from the registers.
fn dnat(fields: &Fields) -> Option<Expr> {
    let expected = fields.number(uapi::NAT_TYPE)? == uapi::NAT_DNAT
        && fields.only(uapi::NAT_TYPE..=uapi::NAT_FLAGS)
        && fields
            .number(uapi::NAT_REG_ADDR_MAX)
            .is_none_or(|max| Some(max) == fields.number(uapi::NAT_REG_ADDR_MIN))
        && fields
            .number(uapi::NAT_REG_PROTO_MAX)
            .is_none_or(|max| Some(max) == fields.number(uapi::NAT_REG_PROTO_MIN))
        && fields.number(uapi::NAT_FLAGS).unwrap_or(0) & !uapi::NAT_IMPLIED_FLAGS == 0;
    expected.then_some(())?;
    Some(Expr::Dnat {
        family: u8::try_from(fields.number(uapi::NAT_FAMILY)?).ok()?,
        address: fields.register(uapi::NAT_REG_ADDR_MIN)?,
        port: match fields.value(uapi::NAT_REG_PROTO_MIN) {
            Some(_) => Some(fields.register(uapi::NAT_REG_PROTO_MIN)?),
            None => None,
        },
    })
}

fn immediate(fields: &Fields) -> Option<Expr> {
    let verdict = attribute(fields.value(uapi::IMMEDIATE_DATA)?, uapi::DATA_VERDICT)?;
    let verdict = Fields(verdict);
    match verdict.number(uapi::VERDICT_CODE)?.cast_signed() {
        uapi::VERDICT_JUMP => Some(Expr::Jump(verdict.text(uapi::VERDICT_CHAIN)?)),
        uapi::VERDICT_DROP => Some(Expr::Drop),
        uapi::VERDICT_RETURN => Some(Expr::Return),
        _ => None,
    }
}

/// The attributes of `NFTA_EXPR_DATA`.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn value(&self, kind: u16) -> Option<&[u8]> {
        attribute(self.0, kind)
    }

    fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.value(kind)?.try_into().ok()?))
    }

    fn register(&self, kind: u16) -> Option<Register> {
        Register::from_number(self.number(kind)?)
    }

    fn data(&self, kind: u16) -> Option<Vec<u8>> {
        Some(attribute(self.value(kind)?, uapi::DATA_VALUE)?.to_vec())
    }

    fn text(&self, kind: u16) -> Option<String> {
        self.value(kind).map(text)
    }

    /// Whether there is nothing but these, so that nothing we do not know changes the meaning.
    fn only(&self, kinds: RangeInclusive<u16>) -> bool {
        each_attribute(self.0).all(|(kind, _)| kinds.contains(&kind))
    }

    fn is_default(&self, kind: u16) -> bool {
        self.number(kind).is_none_or(|number| number == 0)
    }
}
