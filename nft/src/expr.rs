//! The expressions of our rules: written, and read back so that two rules can be compared.

use std::fmt;

use common::sys::netlink::{attribute, each_attribute, text};
use common::sys::nla::Nla;

use crate::uapi;

/// A place in the kernel's register file, in words of 4 bytes.
///
/// `linux/netfilter/nf_tables.h` numbers the first 16 bytes 1, the second 16 bytes 2, and so on, and
/// every word from 8 on; the kernel reports a register that starts on 16 bytes by the short number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub u32);

impl Register {
    fn number(self) -> u32 {
        match self.0 % 4 {
            0 => self.0 / 4 + 1,
            _ => self.0 + 8,
        }
    }

    fn from_number(number: u32) -> Option<Register> {
        match number {
            1..=4 => Some(Register((number - 1) * 4)),
            // `NFT_REG32_15` is the last.
            8..=23 => Some(Register(number - 8)),
            _ => None,
        }
    }
}

/// The registers' beginning.
pub const FIRST: Register = Register(0);

/// One expression. Sizes are in bytes, values in network order unless the kernel compares numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named for what they hold")]
pub enum Expr {
    /// Loads packet metadata.
    Meta { key: u32, into: Register },
    /// Writes packet metadata.
    SetMeta { key: u32, from: Register },
    /// Loads bytes of a header.
    Payload {
        base: u32,
        offset: u32,
        len: u32,
        into: Register,
    },
    /// `into = from & mask ^ xor`
    Bitwise {
        from: Register,
        into: Register,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    /// Goes on only if the register compares so.
    Compare {
        from: Register,
        op: u32,
        value: Vec<u8>,
    },
    /// Goes on only if the set has the key; a map's data goes to `into`.
    Lookup {
        set: String,
        from: Register,
        into: Option<Register>,
    },
    /// What the routing table says of an address.
    Fib {
        result: u32,
        flags: u32,
        into: Register,
    },
    /// Loads conntrack metadata.
    Ct { key: u32, into: Register },
    /// Translates the destination to the address and port in registers.
    Dnat {
        family: u8,
        address: Register,
        port: Register,
    },
    /// Translates the source to the outgoing interface's address.
    Masquerade,
    /// Puts a value into a register.
    Load { value: Vec<u8>, into: Register },
    /// Runs another chain, then comes back.
    Jump(String),
    /// Ends in dropping the packet.
    Drop,
    /// One that we never write, or write otherwise: its name.
    Other(String),
}

impl Expr {
    /// The expression as an element of `NFTA_RULE_EXPRESSIONS`.
    pub fn encode(&self) -> Nla {
        use Expr as E;
        let reg = |kind, register: Register| Nla::be32(kind, register.number());
        let (name, attributes) = match self {
            E::Meta { key, into } => ("meta", vec![reg(1, *into), Nla::be32(2, *key)]),
            E::SetMeta { key, from } => ("meta", vec![Nla::be32(2, *key), reg(3, *from)]),
            E::Payload {
                base,
                offset,
                len,
                into,
            } => (
                "payload",
                vec![
                    reg(1, *into),
                    Nla::be32(2, *base),
                    Nla::be32(3, *offset),
                    Nla::be32(4, *len),
                ],
            ),
            E::Bitwise {
                from,
                into,
                mask,
                xor,
            } => (
                "bitwise",
                vec![
                    reg(1, *from),
                    reg(2, *into),
                    Nla::be32(3, u32::try_from(mask.len()).unwrap_or(0)),
                    data(4, mask),
                    data(5, xor),
                ],
            ),
            E::Compare { from, op, value } => (
                "cmp",
                vec![reg(1, *from), Nla::be32(2, *op), data(3, value)],
            ),
            E::Lookup { set, from, into } => {
                let mut attributes = vec![Nla::text(1, set), reg(2, *from)];
                attributes.extend(into.map(|into| reg(3, into)));
                ("lookup", attributes)
            }
            E::Fib {
                result,
                flags,
                into,
            } => (
                "fib",
                vec![reg(1, *into), Nla::be32(2, *result), Nla::be32(3, *flags)],
            ),
            E::Ct { key, into } => ("ct", vec![reg(1, *into), Nla::be32(2, *key)]),
            E::Dnat {
                family,
                address,
                port,
            } => (
                "nat",
                vec![
                    Nla::be32(1, uapi::NAT_DNAT),
                    Nla::be32(2, u32::from(*family)),
                    reg(3, *address),
                    reg(5, *port),
                ],
            ),
            E::Masquerade => ("masq", vec![]),
            E::Load { value, into } => ("immediate", vec![reg(1, *into), data(2, value)]),
            E::Jump(chain) => ("immediate", verdict(uapi::VERDICT_JUMP, Some(chain))),
            E::Drop => ("immediate", verdict(uapi::VERDICT_DROP, None)),
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

    /// Reads one element of `NFTA_RULE_EXPRESSIONS`.
    pub fn decode(element: &[u8]) -> Expr {
        let name = attribute(element, uapi::EXPR_NAME)
            .map(text)
            .unwrap_or_default();
        let fields = Fields(attribute(element, uapi::EXPR_DATA).unwrap_or(&[]));
        known(&name, &fields).unwrap_or(Expr::Other(name))
    }
}

/// In one word, and by name where there is one: for messages about rules that are not as planned.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Meta { .. } => f.write_str("meta"),
            Expr::SetMeta { .. } => f.write_str("set"),
            Expr::Payload { .. } => f.write_str("payload"),
            Expr::Bitwise { .. } => f.write_str("bitwise"),
            Expr::Compare { .. } => f.write_str("cmp"),
            Expr::Lookup { set, .. } => write!(f, "@{set}"),
            Expr::Fib { .. } => f.write_str("fib"),
            Expr::Ct { .. } => f.write_str("ct"),
            Expr::Dnat { .. } => f.write_str("dnat"),
            Expr::Masquerade => f.write_str("masquerade"),
            Expr::Load { .. } => f.write_str("immediate"),
            Expr::Jump(chain) => write!(f, "jump {chain}"),
            Expr::Drop => f.write_str("drop"),
            Expr::Other(name) => f.write_str(name),
        }
    }
}

/// The expressions of a rule, from `NFTA_RULE_EXPRESSIONS`.
pub fn decode_all(expressions: &[u8]) -> Vec<Expr> {
    each_attribute(expressions)
        .map(|(_, element)| Expr::decode(element))
        .collect()
}

fn data(kind: u16, value: &[u8]) -> Nla {
    Nla::nested(kind, [Nla::value(uapi::DATA_VALUE, value)])
}

fn verdict(code: i32, chain: Option<&str>) -> Vec<Nla> {
    let mut verdict = vec![Nla::be32(uapi::VERDICT_CODE, code.cast_unsigned())];
    verdict.extend(chain.map(|chain| Nla::text(uapi::VERDICT_CHAIN, chain)));
    vec![
        // `NFT_REG_VERDICT`
        Nla::be32(1, 0),
        Nla::nested(2, [Nla::nested(uapi::DATA_VERDICT, verdict)]),
    ]
}

/// One of ours, if everything in it is as we would write it.
fn known(name: &str, fields: &Fields) -> Option<Expr> {
    Some(match name {
        "meta" if fields.only(&[1, 2]) => Expr::Meta {
            into: fields.register(1)?,
            key: fields.number(2)?,
        },
        "meta" if fields.only(&[2, 3]) => Expr::SetMeta {
            key: fields.number(2)?,
            from: fields.register(3)?,
        },
        "payload" if fields.only(&[1, 2, 3, 4]) => Expr::Payload {
            into: fields.register(1)?,
            base: fields.number(2)?,
            offset: fields.number(3)?,
            len: fields.number(4)?,
        },
        // 6 is the operation, of which 0 is mask and xor.
        "bitwise" if fields.only(&[1, 2, 3, 4, 5, 6]) && fields.is_default(6) => Expr::Bitwise {
            from: fields.register(1)?,
            into: fields.register(2)?,
            mask: fields.data(4)?,
            xor: fields.data(5)?,
        },
        "cmp" if fields.only(&[1, 2, 3]) => Expr::Compare {
            from: fields.register(1)?,
            op: fields.number(2)?,
            value: fields.data(3)?,
        },
        // 5 are the flags, of which `NFT_LOOKUP_F_INV` inverts.
        "lookup" if fields.only(&[1, 2, 3, 5]) && fields.is_default(5) => Expr::Lookup {
            set: fields.text(1)?,
            from: fields.register(2)?,
            into: fields.register(3),
        },
        "fib" if fields.only(&[1, 2, 3]) => Expr::Fib {
            into: fields.register(1)?,
            result: fields.number(2)?,
            flags: fields.number(3)?,
        },
        "ct" if fields.only(&[1, 2]) => Expr::Ct {
            into: fields.register(1)?,
            key: fields.number(2)?,
        },
        "nat" => dnat(fields)?,
        "masq" if fields.only(&[1]) && fields.is_default(1) => Expr::Masquerade,
        "immediate" if fields.only(&[1, 2]) && fields.is_default(1) => immediate(fields)?,
        "immediate" if fields.only(&[1, 2]) => Expr::Load {
            into: fields.register(1)?,
            value: fields.data(2)?,
        },
        _ => return None,
    })
}

/// The kernel reports the upper ends of ranges too, and flags that follow from the registers.
fn dnat(fields: &Fields) -> Option<Expr> {
    let expected = fields.number(1)? == uapi::NAT_DNAT
        && fields.only(&[1, 2, 3, 4, 5, 6, 7])
        && fields
            .number(4)
            .is_none_or(|max| Some(max) == fields.number(3))
        && fields
            .number(6)
            .is_none_or(|max| Some(max) == fields.number(5))
        && fields.number(7).unwrap_or(0) & !uapi::NAT_IMPLIED_FLAGS == 0;
    expected.then_some(())?;
    Some(Expr::Dnat {
        family: u8::try_from(fields.number(2)?).ok()?,
        address: fields.register(3)?,
        port: fields.register(5)?,
    })
}

fn immediate(fields: &Fields) -> Option<Expr> {
    let verdict = attribute(fields.value(2)?, uapi::DATA_VERDICT)?;
    let verdict = Fields(verdict);
    match verdict.number(uapi::VERDICT_CODE)?.cast_signed() {
        uapi::VERDICT_JUMP => Some(Expr::Jump(verdict.text(uapi::VERDICT_CHAIN)?)),
        uapi::VERDICT_DROP => Some(Expr::Drop),
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
    fn only(&self, kinds: &[u16]) -> bool {
        each_attribute(self.0).all(|(kind, _)| kinds.contains(&kind))
    }

    fn is_default(&self, kind: u16) -> bool {
        self.number(kind).is_none_or(|number| number == 0)
    }
}

#[cfg(test)]
mod tests;
