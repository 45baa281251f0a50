//! Expressions, written.

use common::sys::nla::Nla;

use super::{Expr, Register};
use crate::uapi;

impl Expr {
    /// The expression as an element of `NFTA_RULE_EXPRESSIONS`.
    pub fn encode(&self) -> Nla {
        use Expr as E;
        let (name, attributes) = match self {
            E::Meta { key, into } => (
                "meta",
                vec![reg(uapi::META_DREG, *into), Nla::be32(uapi::META_KEY, *key)],
            ),
            E::SetMeta { key, from } => (
                "meta",
                vec![Nla::be32(uapi::META_KEY, *key), reg(uapi::META_SREG, *from)],
            ),
            E::Payload {
                base,
                offset,
                len,
                into,
            } => ("payload", payload([*base, *offset, *len], *into)),
            E::Bitwise {
                from,
                into,
                mask,
                xor,
            } => ("bitwise", bitwise(*from, *into, mask, xor)),
            E::Compare { from, op, value } => (
                "cmp",
                vec![
                    reg(uapi::CMP_SREG, *from),
                    Nla::be32(uapi::CMP_OP, *op),
                    data(uapi::CMP_DATA, value),
                ],
            ),
            E::Lookup { set, from, into } => {
                let mut attributes = vec![
                    Nla::text(uapi::LOOKUP_SET, set),
                    reg(uapi::LOOKUP_SREG, *from),
                ];
                attributes.extend(into.map(|into| reg(uapi::LOOKUP_DREG, into)));
                ("lookup", attributes)
            }
            E::Fib {
                result,
                flags,
                into,
            } => (
                "fib",
                vec![
                    reg(uapi::FIB_DREG, *into),
                    Nla::be32(uapi::FIB_RESULT, *result),
                    Nla::be32(uapi::FIB_FLAGS, *flags),
                ],
            ),
            E::Ct { key, into } => (
                "ct",
                vec![reg(uapi::CT_DREG, *into), Nla::be32(uapi::CT_KEY, *key)],
            ),
            E::Counter(counters) => ("counter", counters.encode()),
            E::Dnat {
                family,
                address,
                port,
            } => ("nat", dnat(*family, *address, *port)),
            E::Masquerade => ("masq", vec![]),
            E::Load { value, into } => (
                "immediate",
                vec![
                    reg(uapi::IMMEDIATE_DREG, *into),
                    data(uapi::IMMEDIATE_DATA, value),
                ],
            ),
            E::Jump(chain) => ("immediate", verdict(uapi::VERDICT_JUMP, Some(chain))),
            E::Drop => ("immediate", verdict(uapi::VERDICT_DROP, None)),
            E::Return => ("immediate", verdict(uapi::VERDICT_RETURN, None)),
            E::Other(name) => (name.as_str(), vec![]),
        };
        Nla::nested(
            uapi::LIST_ELEM,
            [
                Nla::text(uapi::EXPR_NAME, name),
                Nla::nested(uapi::EXPR_DATA, attributes),
            ],
        )
    }
}

fn data(kind: u16, value: &[u8]) -> Nla {
    Nla::nested(kind, [Nla::value(uapi::DATA_VALUE, value)])
}

fn verdict(code: i32, chain: Option<&str>) -> Vec<Nla> {
    let mut verdict = vec![Nla::be32(uapi::VERDICT_CODE, code.cast_unsigned())];
    verdict.extend(chain.map(|chain| Nla::text(uapi::VERDICT_CHAIN, chain)));
    vec![
        Nla::be32(uapi::IMMEDIATE_DREG, uapi::REG_VERDICT),
        Nla::nested(
            uapi::IMMEDIATE_DATA,
            [Nla::nested(uapi::DATA_VERDICT, verdict)],
        ),
    ]
}

fn reg(kind: u16, register: Register) -> Nla {
    Nla::be32(kind, register.number())
}

fn payload([base, offset, len]: [u32; 3], into: Register) -> Vec<Nla> {
    vec![
        reg(uapi::PAYLOAD_DREG, into),
        Nla::be32(uapi::PAYLOAD_BASE, base),
        Nla::be32(uapi::PAYLOAD_OFFSET, offset),
        Nla::be32(uapi::PAYLOAD_LEN, len),
    ]
}

fn bitwise(from: Register, into: Register, mask: &[u8], xor: &[u8]) -> Vec<Nla> {
    vec![
        reg(uapi::BITWISE_SREG, from),
        reg(uapi::BITWISE_DREG, into),
        Nla::be32(uapi::BITWISE_LEN, u32::try_from(mask.len()).unwrap_or(0)),
        data(uapi::BITWISE_MASK, mask),
        data(uapi::BITWISE_XOR, xor),
    ]
}

fn dnat(family: u8, address: Register, port: Option<Register>) -> Vec<Nla> {
    let mut attributes = vec![
        Nla::be32(uapi::NAT_TYPE, uapi::NAT_DNAT),
        Nla::be32(uapi::NAT_FAMILY, u32::from(family)),
        reg(uapi::NAT_REG_ADDR_MIN, address),
    ];
    attributes.extend(port.map(|port| reg(uapi::NAT_REG_PROTO_MIN, port)));
    attributes
}
