//! Tables, chains, sets, rules and elements: as messages' attributes, and read from them.

mod chain;
mod element;
mod rule;
mod set;

use common::Family;
use common::sys::netlink::{Refusal, attribute, text};
use common::sys::nla::{Nla, body};

use crate::uapi;

pub use chain::{Base, Chain};
pub use element::{Counters, Element};
pub use rule::Rule;
pub use set::{IFNAME, Set};

/// The type of a comment in user data (`NFTNL_UDATA_*_COMMENT` of libnftnl's udata.h: 0 for tables,
/// rules and elements).
const COMMENT: u8 = 0;
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

impl Table {
    /// Reads an `NFT_MSG_NEWTABLE`'s attributes.
    pub fn decode(attributes: &[u8]) -> Table {
        Table {
            flags: number(attributes, uapi::TABLE_FLAGS).unwrap_or(0),
            comment: attribute(attributes, uapi::TABLE_USERDATA).and_then(comment),
        }
    }
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

    #[test]
    fn a_comment_is_found_behind_other_user_data() {
        assert_eq!(comment(&[3, 1, 9, 0, 2, b'a', 0]).as_deref(), Some("a"));
        for broken in [&[][..], &[0], &[0, 5, b'a'], &[1, 0], &[1, 200, 0]] {
            assert_eq!(comment(broken), None, "{broken:?}");
        }
    }
}
