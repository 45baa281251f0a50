//! Tables, chains, sets, rules and elements: as messages' attributes, and read from them.

use std::fmt;

use common::Family;
use common::sys::netlink::{Refusal, attribute, each_attribute, text};
use common::sys::nla::{Nla, body};

use crate::expr::Expr;
use crate::parts::part_lens;
use crate::uapi;

/// The type of a comment in user data (`NFTNL_UDATA_*_COMMENT` of libnftnl's udata.h: 0 for tables,
/// rules and elements).
const COMMENT: u8 = 0;
/// The type of [`Element::siblings`] in user data, far from those that nft has.
const SIBLINGS: u8 = 0xc0;

/// nft's number of a text of up to 15 characters (`TYPE_IFNAME` of its include/datatype.h).
pub const IFNAME: u32 = 41;

/// Says to nft that keys are in the machine's order, without which it prints texts as empty
/// (`NFTNL_UDATA_SET_KEYBYTEORDER` of libnftnl's udata.h, `BYTEORDER_HOST_ENDIAN` of nft's datatype.h).
fn byte_order_of_texts() -> Vec<u8> {
    let mut bytes = vec![0, 4];
    bytes.extend(1u32.to_ne_bytes());
    bytes
}

/// The flag of a table that is switched off (`NFT_TABLE_F_DORMANT`).
const DORMANT: u32 = 1;

/// A table: its name and family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The family.
    pub family: Family,
    /// The table's name.
    pub table: &'static str,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// `NFT_TABLE_F_*`
    pub flags: u32,
    /// Its comment.
    pub comment: Option<String>,
}

impl Table {
    /// Whether it is switched off (`NFT_TABLE_F_DORMANT`): no packet meets its rules.
    pub fn is_dormant(&self) -> bool {
        self.flags & DORMANT != 0
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where the kernel calls it; `None` for one that only others jump to.
    pub base: Option<Base>,
}

/// Where and how the kernel calls a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `nat` or `filter`.
    pub kind: String,
    /// `NF_INET_*`
    pub hook: u32,
    /// The order among the chains of one hook.
    pub priority: i32,
    /// The verdict at its end, 1 for accept.
    pub policy: u32,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Base {
            kind,
            hook,
            priority,
            policy,
        } = self;
        let names = ["prerouting", "input", "forward", "output", "postrouting"];
        let name = usize::try_from(*hook).ok().and_then(|at| names.get(at));
        let name = name.map_or_else(|| hook.to_string(), |name| (*name).to_owned());
        let policy = match *policy == uapi::ACCEPT {
            true => "accept",
            false => "drop",
        };
        write!(
            f,
            "type {kind} hook {name} priority {priority} policy {policy}"
        )
    }
}

/// A set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// `NFT_SET_*`
    pub flags: u32,
    /// nft's number for the key's type; six bits a part for a concatenation.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_len: u32,
    /// The same for a map's data: type and bytes.
    pub data: Option<(u32, u32)>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number in the table; 0 for one that is not there yet.
    pub handle: u64,
    /// What it does.
    pub exprs: Vec<Expr>,
    /// Its comment.
    pub comment: Option<String>,
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The key's bytes, every part padded to 4.
    pub key: Vec<u8>,
    /// The last key in a set of intervals of concatenations, where `key` is the first one.
    pub key_end: Option<Vec<u8>>,
    /// A map's data, every part padded to 4.
    pub data: Option<Vec<u8>>,
    /// Its comment, which is its owner.
    pub comment: Option<String>,
    /// How many host ports its owner has, in the set of attachments, where that is known: nft does not
    /// keep it when it loads what it printed.
    pub siblings: Option<u16>,
}

/// What an element of a counted set has matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Their bytes, from the IP header on.
    pub bytes: u64,
}

/// A comment as user data: type, length with the closing NUL, text.
pub fn userdata(kind: u16, comment: &str) -> Nla {
    Nla::value(kind, comment_bytes(comment))
}

fn comment_bytes(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![COMMENT, length];
    bytes.extend(comment.bytes().take(usize::from(length) - 1));
    bytes.push(0);
    bytes
}

/// The comment in user data, which may hold other things beside it.
pub fn comment(userdata: &[u8]) -> Option<String> {
    part(userdata, COMMENT).map(text)
}

/// The value of one type in user data.
fn part(mut userdata: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        userdata = rest;
    }
    None
}

impl Table {
    /// Reads an `NFT_MSG_NEWTABLE`'s attributes.
    pub fn decode(attributes: &[u8]) -> Table {
        Table {
            flags: number(attributes, uapi::TABLE_FLAGS).unwrap_or(0),
            comment: attribute(attributes, uapi::TABLE_USERDATA).and_then(comment),
        }
    }
}

impl Chain {
    /// The attributes beside the table's.
    pub fn encode(&self) -> Vec<Nla> {
        let mut attributes = vec![Nla::text(uapi::CHAIN_NAME, &self.name)];
        if let Some(Base {
            kind,
            hook,
            priority,
            policy,
        }) = &self.base
        {
            attributes.push(Nla::nested(
                uapi::CHAIN_HOOK,
                [
                    Nla::be32(uapi::HOOK_NUMBER, *hook),
                    Nla::be32(uapi::HOOK_PRIORITY, priority.cast_unsigned()),
                ],
            ));
            attributes.push(Nla::be32(uapi::CHAIN_POLICY, *policy));
            attributes.push(Nla::text(uapi::CHAIN_TYPE, kind));
        }
        attributes
    }

    /// Reads an `NFT_MSG_NEWCHAIN`'s attributes.
    pub fn decode(attributes: &[u8]) -> Chain {
        let base = attribute(attributes, uapi::CHAIN_HOOK).map(|hook| Base {
            kind: attribute(attributes, uapi::CHAIN_TYPE)
                .map(text)
                .unwrap_or_default(),
            hook: number(hook, uapi::HOOK_NUMBER).unwrap_or(u32::MAX),
            priority: number(hook, uapi::HOOK_PRIORITY).map_or(0, u32::cast_signed),
            policy: number(attributes, uapi::CHAIN_POLICY).unwrap_or(uapi::ACCEPT),
        });
        let name = attribute(attributes, uapi::CHAIN_NAME)
            .map(text)
            .unwrap_or_default();
        Chain { name, base }
    }
}

impl Set {
    /// The attributes beside the table's; `id` distinguishes the sets of one batch.
    pub fn encode(&self, id: u32) -> Vec<Nla> {
        let mut attributes = vec![
            Nla::text(uapi::SET_NAME, &self.name),
            Nla::be32(uapi::SET_FLAGS, self.flags),
            Nla::be32(uapi::SET_KEY_TYPE, self.key_type),
            Nla::be32(uapi::SET_KEY_LEN, self.key_len),
            Nla::be32(uapi::SET_ID, id),
        ];
        if self.key_type == IFNAME {
            attributes.push(Nla::value(uapi::SET_USERDATA, byte_order_of_texts()));
        }
        if self.flags & uapi::SET_FLAG_CONCAT != 0 {
            attributes.push(self.fields());
        }
        if let Some((kind, len)) = self.data {
            attributes.push(Nla::be32(uapi::SET_DATA_TYPE, kind));
            attributes.push(Nla::be32(uapi::SET_DATA_LEN, len));
        }
        attributes
    }

    /// The bytes of the key's parts, each of which has a first and a last value.
    fn fields(&self) -> Nla {
        let field = |len| {
            let len = Nla::be32(uapi::SET_FIELD_LEN, len);
            Nla::nested(uapi::LIST_ELEM, [len])
        };
        let fields: Vec<Nla> = part_lens(self.key_type).into_iter().map(field).collect();
        Nla::nested(uapi::SET_DESC, [Nla::nested(uapi::SET_DESC_CONCAT, fields)])
    }

    /// Reads an `NFT_MSG_NEWSET`'s attributes.
    pub fn decode(attributes: &[u8]) -> Set {
        let get = |kind| number(attributes, kind);
        Set {
            name: attribute(attributes, uapi::SET_NAME)
                .map(text)
                .unwrap_or_default(),
            flags: get(uapi::SET_FLAGS).unwrap_or(0),
            key_type: get(uapi::SET_KEY_TYPE).unwrap_or(0),
            key_len: get(uapi::SET_KEY_LEN).unwrap_or(0),
            data: get(uapi::SET_DATA_TYPE).map(|kind| (kind, get(uapi::SET_DATA_LEN).unwrap_or(0))),
        }
    }
}

impl Rule {
    /// A rule to be written.
    pub fn new(exprs: Vec<Expr>) -> Rule {
        Rule {
            handle: 0,
            exprs,
            comment: None,
        }
    }

    /// The attributes beside table, chain and handle.
    pub fn encode(&self) -> Vec<Nla> {
        let exprs: Vec<Nla> = self.exprs.iter().map(Expr::encode).collect();
        let mut attributes = vec![Nla::nested(uapi::RULE_EXPRESSIONS, exprs)];
        let comment = self.comment.as_deref();
        attributes.extend(comment.map(|comment| userdata(uapi::RULE_USERDATA, comment)));
        attributes
    }

    /// Whether it can only end in a jump to that chain.
    pub fn leads_to(&self, chain: &str) -> bool {
        self.jump().is_some_and(|to| to == chain)
    }

    /// The same for any chain whose name begins so.
    pub fn leads_to_one_of(&self, prefix: &str) -> bool {
        self.jump().is_some_and(|to| to.starts_with(prefix))
    }

    /// The chain that it leads to, where it can end in nothing but a jump there.
    pub fn jump(&self) -> Option<&str> {
        let is_verdict = |expr: &Expr| match expr {
            Expr::Jump(_) | Expr::Drop | Expr::Return => true,
            Expr::Other(name) => name == "immediate",
            _ => false,
        };
        match self.exprs.split_last()? {
            (Expr::Jump(to), tests) if !tests.iter().any(is_verdict) => Some(to),
            _ => None,
        }
    }

    /// Reads an `NFT_MSG_NEWRULE`'s attributes.
    pub fn decode(attributes: &[u8]) -> Rule {
        let handle = attribute(attributes, uapi::RULE_HANDLE)
            .and_then(|value| value.try_into().ok())
            .map_or(0, u64::from_be_bytes);
        Rule {
            handle,
            exprs: attribute(attributes, uapi::RULE_EXPRESSIONS)
                .map(Expr::decode_all)
                .unwrap_or_default(),
            comment: attribute(attributes, uapi::RULE_USERDATA).and_then(comment),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, expr) in self.exprs.iter().enumerate() {
            let blank = if index > 0 { " " } else { "" };
            write!(f, "{blank}{expr}")?;
        }
        Ok(())
    }
}

impl Element {
    /// The element as one of `NFTA_SET_ELEM_LIST_ELEMENTS`.
    pub fn encode(&self) -> Nla {
        let mut attributes = vec![value(uapi::ELEM_KEY, &self.key)];
        let end = self.key_end.as_ref();
        attributes.extend(end.map(|end| value(uapi::ELEM_KEY_END, end)));
        attributes.extend(self.data.as_ref().map(|data| value(uapi::ELEM_DATA, data)));
        let mut userdata = self
            .comment
            .as_deref()
            .map(comment_bytes)
            .unwrap_or_default();
        if let Some(siblings) = self.siblings {
            userdata.extend([SIBLINGS, 2]);
            userdata.extend(siblings.to_be_bytes());
        }
        if !userdata.is_empty() {
            attributes.push(Nla::value(uapi::ELEM_USERDATA, userdata));
        }
        Nla::nested(uapi::LIST_ELEM, attributes)
    }

    /// Whether it means the same. A number of siblings that one of the two does not know is not a
    /// difference.
    pub fn is_same(&self, other: &Element) -> bool {
        let known = self.siblings.zip(other.siblings);
        self.key == other.key
            && self.key_end == other.key_end
            && self.data == other.data
            && self.comment == other.comment
            && known.is_none_or(|(a, b)| a == b)
    }

    /// An element's key alone, as lookups and deletions want it.
    pub fn encode_key(key: &[u8]) -> Nla {
        Nla::nested(uapi::LIST_ELEM, [value(uapi::ELEM_KEY, key)])
    }

    /// Reads the elements in an `NFT_MSG_NEWSETELEM`'s attributes.
    pub fn decode_list(attributes: &[u8]) -> Vec<Element> {
        let counted = Element::decode_counted(attributes).into_iter();
        counted.map(|(element, _)| element).collect()
    }

    /// The same, each with what it has counted; `None` in a set that does not count.
    pub fn decode_counted(attributes: &[u8]) -> Vec<(Element, Option<Counters>)> {
        let list = attribute(attributes, uapi::ELEM_LIST_ELEMENTS).unwrap_or(&[]);
        each_attribute(list)
            .filter_map(|(_, element)| {
                let bytes = |kind| {
                    let data = attribute(element, kind)?;
                    Some(attribute(data, uapi::DATA_VALUE)?.to_vec())
                };
                let userdata = attribute(element, uapi::ELEM_USERDATA);
                let decoded = Element {
                    key: bytes(uapi::ELEM_KEY)?,
                    key_end: bytes(uapi::ELEM_KEY_END),
                    data: bytes(uapi::ELEM_DATA),
                    comment: userdata.and_then(comment),
                    siblings: userdata
                        .and_then(|bytes| part(bytes, SIBLINGS)?.try_into().ok())
                        .map(u16::from_be_bytes),
                };
                let counters = attribute(element, uapi::ELEM_EXPR).and_then(Counters::decode);
                Some((decoded, counters))
            })
            .collect()
    }
}

impl Counters {
    /// Reads a `counter` expression's attributes.
    fn decode(expr: &[u8]) -> Option<Counters> {
        let name = attribute(expr, uapi::EXPR_NAME).map(text)?;
        let data = attribute(expr, uapi::EXPR_DATA).filter(|_| name == "counter")?;
        let number = |kind| {
            let bytes = attribute(data, kind)?.try_into().ok()?;
            Some(u64::from_be_bytes(bytes))
        };
        Some(Counters {
            packets: number(uapi::COUNTER_PACKETS)?,
            bytes: number(uapi::COUNTER_BYTES)?,
        })
    }
}

fn value(kind: u16, bytes: &[u8]) -> Nla {
    Nla::nested(kind, [Nla::value(uapi::DATA_VALUE, bytes)])
}

/// A message's header for nf_tables (`struct nfgenmsg`) and its attributes.
pub fn attributes(family: u8, attributes: &[Nla]) -> Result<Vec<u8>, Refusal> {
    body(&[family, 0, 0, 0], attributes)
}

/// Four bytes in network order.
pub fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    let bytes = attribute(attributes, kind)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::sys::nla;

    #[test]
    fn elements_are_read_back_with_their_owners() {
        let elements = vec![
            Element {
                key: vec![6, 0, 0, 0, 31, 144, 0, 0],
                key_end: Some(vec![6, 0, 0, 0, 31, 200, 0, 0]),
                data: Some(vec![10, 0, 0, 2, 0, 80, 0, 0]),
                comment: Some("net/id/eth0".into()),
                siblings: Some(1000),
            },
            Element {
                key: vec![1; 8],
                key_end: None,
                data: None,
                comment: None,
                siblings: None,
            },
        ];
        let list: Vec<Nla> = elements.iter().map(Element::encode).collect();
        let list = Nla::nested(uapi::ELEM_LIST_ELEMENTS, list);
        let bytes = nla::body(&[], &[list]).unwrap();
        assert_eq!(Element::decode_list(&bytes), elements);
    }

    #[test]
    fn a_comment_is_found_behind_other_user_data() {
        assert_eq!(comment(&[3, 1, 9, 0, 2, b'a', 0]).as_deref(), Some("a"));
        for broken in [&[][..], &[0], &[0, 5, b'a'], &[1, 0], &[1, 200, 0]] {
            assert_eq!(comment(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_chain_is_read_back_with_its_hook() {
        let chain = Chain {
            name: "prerouting".into(),
            base: Some(Base {
                kind: "nat".into(),
                hook: 0,
                priority: -100,
                policy: 1,
            }),
        };
        let bytes = nla::body(&[], &chain.encode()).unwrap();
        assert_eq!(Chain::decode(&bytes), chain);
    }
}
