//! Elements of sets and maps, and what they have counted.

use common::sys::netlink::{attribute, each_attribute, text};
use common::sys::nla::Nla;

use super::{comment, comment_bytes, part};
use crate::uapi;

/// The type of [`Element::siblings`] in user data, far from those that nft has.
const SIBLINGS: u8 = 0xc0;

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

/// What an element of a counted set or a rule has matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Their bytes, from the IP header on.
    pub bytes: u64,
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
                let counters = attribute(element, uapi::ELEM_EXPR).and_then(Counters::of_expr);
                Some((decoded, counters))
            })
            .collect()
    }
}

impl Counters {
    /// Reads an expression, if it is a `counter`.
    fn of_expr(expr: &[u8]) -> Option<Counters> {
        let name = attribute(expr, uapi::EXPR_NAME).map(text)?;
        Counters::decode(attribute(expr, uapi::EXPR_DATA).filter(|_| name == "counter")?)
    }

    /// Reads the attributes of a `counter`.
    pub fn decode(data: &[u8]) -> Option<Counters> {
        let number = |kind| {
            let bytes = attribute(data, kind)?.try_into().ok()?;
            Some(u64::from_be_bytes(bytes))
        };
        Some(Counters {
            packets: number(uapi::COUNTER_PACKETS)?,
            bytes: number(uapi::COUNTER_BYTES)?,
        })
    }

    /// The attributes of a `counter` that continues from here.
    pub fn encode(&self) -> Vec<Nla> {
        vec![
            Nla::be64(uapi::COUNTER_BYTES, self.bytes),
            Nla::be64(uapi::COUNTER_PACKETS, self.packets),
        ]
    }
}

fn value(kind: u16, bytes: &[u8]) -> Nla {
    Nla::nested(kind, [Nla::value(uapi::DATA_VALUE, bytes)])
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
}
