//! Netlink attributes that are built, not parsed: values and nests of them.
//!
//! Layout: `struct nlattr` of include/uapi/linux/netlink.h. Nested attributes carry `NLA_F_NESTED`,
//! which newer parts of the kernel insist on. Reading is [`super::netlink::each_attribute`].

use nix::errno::Errno;

use super::netlink::Refusal;

/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;
/// Bytes of an attribute's header.
const HEADER: usize = 4;

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nla {
    kind: u16,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Value(Vec<u8>),
    Nested(Vec<Nla>),
}

impl Nla {
    /// An attribute of plain bytes.
    pub fn value(kind: u16, bytes: impl Into<Vec<u8>>) -> Nla {
        let content = Content::Value(bytes.into());
        Nla { kind, content }
    }

    /// An attribute that holds attributes.
    pub fn nested(kind: u16, attributes: impl Into<Vec<Nla>>) -> Nla {
        let content = Content::Nested(attributes.into());
        Nla { kind, content }
    }

    /// A flag: present, without a value.
    pub fn flag(kind: u16) -> Nla {
        Nla::value(kind, [])
    }

    /// One byte.
    pub fn u8(kind: u16, number: u8) -> Nla {
        Nla::value(kind, [number])
    }

    /// Two bytes in network order.
    pub fn be16(kind: u16, number: u16) -> Nla {
        Nla::value(kind, number.to_be_bytes())
    }

    /// Four bytes in network order.
    pub fn be32(kind: u16, number: u32) -> Nla {
        Nla::value(kind, number.to_be_bytes())
    }

    /// Eight bytes in network order.
    pub fn be64(kind: u16, number: u64) -> Nla {
        Nla::value(kind, number.to_be_bytes())
    }

    /// Four bytes in the machine's order.
    pub fn u32(kind: u16, number: u32) -> Nla {
        Nla::value(kind, number.to_ne_bytes())
    }

    /// A text with its closing NUL.
    pub fn text(kind: u16, text: &str) -> Nla {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        Nla::value(kind, bytes)
    }

    /// Appends the attribute, padded to 4 bytes.
    ///
    /// # Errors
    /// `EMSGSIZE` when a value, or a nest as a whole, is longer than its 16-bit length can say.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        let flag = match &self.content {
            Content::Value(bytes) => {
                out.extend_from_slice(bytes);
                0
            }
            Content::Nested(attributes) => {
                emit_all(attributes, out)?;
                NESTED
            }
        };
        let length = u16::try_from(out.len() - start).map_err(|_| Errno::EMSGSIZE)?;
        let header = length
            .to_ne_bytes()
            .into_iter()
            .chain((self.kind | flag).to_ne_bytes());
        for (place, byte) in out.iter_mut().skip(start).zip(header) {
            *place = byte;
        }
        out.resize(out.len().next_multiple_of(HEADER), 0);
        Ok(())
    }
}

/// Appends attributes, one after the other.
///
/// # Errors
/// As [`Nla::emit`].
pub fn emit_all(attributes: &[Nla], out: &mut Vec<u8>) -> Result<(), Refusal> {
    attributes.iter().try_for_each(|nla| nla.emit(out))
}

/// A fixed header followed by attributes: the body of one message.
///
/// # Errors
/// As [`Nla::emit`].
pub fn body(header: &[u8], attributes: &[Nla]) -> Result<Vec<u8>, Refusal> {
    let mut bytes = header.to_vec();
    emit_all(attributes, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::netlink::{attribute, each_attribute, text};

    #[test]
    fn values_and_nests_are_read_back() {
        let nest = Nla::nested(7, [Nla::u8(1, 9), Nla::text(2, "name"), Nla::flag(3)]);
        let bytes = body(&[1, 2, 3, 4], &[Nla::be16(5, 0x0102), nest]).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let list: Vec<_> = each_attribute(&bytes[4..]).collect();
        assert_eq!(list[0], (5, &[1u8, 2][..]));
        assert_eq!(list[1].0, 7);
        assert_eq!(attribute(list[1].1, 1), Some(&[9u8][..]));
        assert_eq!(attribute(list[1].1, 2).map(text).as_deref(), Some("name"));
        assert_eq!(attribute(list[1].1, 3), Some(&[][..]));
    }

    #[test]
    fn a_nest_carries_its_flag_and_a_value_does_not() {
        let kind = |nla: Nla| {
            let bytes = body(&[], &[nla]).unwrap();
            u16::from_ne_bytes([bytes[2], bytes[3]])
        };
        assert_eq!(kind(Nla::be32(4, 1)), 4);
        assert_eq!(kind(Nla::nested(4, [])), 4 | NESTED);
    }

    #[test]
    fn what_a_length_of_16_bits_cannot_say_is_refused() {
        let fits = Nla::value(1, vec![0; 65_531]);
        assert!(body(&[], std::slice::from_ref(&fits)).is_ok());
        let refused = |nla: Nla| body(&[], &[nla]).unwrap_err().errno;
        assert_eq!(refused(Nla::value(1, vec![0; 65_532])), Errno::EMSGSIZE);
        assert_eq!(refused(Nla::nested(1, [fits])), Errno::EMSGSIZE);
    }
}
