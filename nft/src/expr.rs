//! The expressions of our rules: written, and read back so that two rules can be compared.

mod decode;
mod encode;

use std::fmt;

use crate::object::Counters;

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
    /// Continues only if the register compares so.
    Compare {
        from: Register,
        op: u32,
        value: Vec<u8>,
    },
    /// Continues only if the set has the key; a map's data goes to `into`.
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
    /// Counts the packets that come here.
    Counter(Counters),
    /// Translates the destination to the address and port in registers; without one, the port stays.
    Dnat {
        family: u8,
        address: Register,
        port: Option<Register>,
    },
    /// Translates the source to the outgoing interface's address.
    Masquerade,
    /// Puts a value into a register.
    Load { value: Vec<u8>, into: Register },
    /// Runs another chain, then comes back.
    Jump(String),
    /// Ends in dropping the packet.
    Drop,
    /// Ends this chain: packets go on behind the jump that led here.
    Return,
    /// One that we never write, or write in another form: its name.
    Other(String),
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
            Expr::Counter(_) => f.write_str("counter"),
            Expr::Dnat { .. } => f.write_str("dnat"),
            Expr::Masquerade => f.write_str("masquerade"),
            Expr::Load { .. } => f.write_str("immediate"),
            Expr::Jump(chain) => write!(f, "jump {chain}"),
            Expr::Drop => f.write_str("drop"),
            Expr::Return => f.write_str("return"),
            Expr::Other(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests;
