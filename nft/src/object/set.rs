//! Sets and maps, without their elements.

use common::sys::netlink::{attribute, text};
use common::sys::nla::Nla;

use super::number;
use crate::parts::part_lens;
use crate::uapi;

/// nft's number of a text of up to 15 characters (`TYPE_IFNAME` of its include/datatype.h).
pub const IFNAME: u32 = 41;

/// Says to nft that keys are in the machine's order, without which it prints texts as empty
/// (`NFTNL_UDATA_SET_KEYBYTEORDER` of libnftnl's udata.h, `BYTEORDER_HOST_ENDIAN` of nft's datatype.h).
fn byte_order_of_texts() -> Vec<u8> {
    let mut bytes = vec![0, 4];
    bytes.extend(1u32.to_ne_bytes());
    bytes
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
