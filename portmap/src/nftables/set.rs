//! Our sets and maps: what each is for, its name, its type, and the rule that asks it.

use common::Family;
use nft::command::Action;
use nft::expr::{Expr, FIRST, Register};
use nft::object::{IFNAME, Rule, Set};
use nft::parts::{PROTOCOL, SERVICE, address_at, address_type, concatenated, set_mark, source_is};
use nft::uapi;

use crate::limits::Scope;

/// The bit by which postrouting knows what to masquerade: the reference's default mark.
pub const MARK: u32 = 0x2000;

/// What a set or map of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Where a host port leads to.
    Dnat,
    /// Host ports that 127.0.0.1 may use: masqueraded from there. IPv4 only.
    Localhost,
    /// Who else claims a host port: behind the one in the map, a later one before an earlier one.
    Shadowed,
    /// Who is here: one element for each attachment, so that nothing of it is overlooked.
    Attachment,
    /// Host ports masqueraded from everywhere.
    MasqAll,
    /// Host ports masqueraded from the container's own network, whose prefix length this is.
    Hairpin(u8),
}

/// What separates a purpose from its limits in names of sets.
const WITHIN: &str = "_within_";
/// What the names of sets and chains of ranges end with.
pub const RANGES: &str = "_ranges";

/// Bytes of such a text with its NUL (`IFNAMSIZ`).
pub const INDEX_LEN: u32 = 16;

/// The set of attachments.
pub const ATTACHMENTS: SetId = SetId {
    purpose: Purpose::Attachment,
    by: By::PORT,
};

/// On which of the host's addresses ports are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// On all.
    All,
    /// On one, which the key has.
    One,
    /// On those of these limits: no other packets get to the set.
    Within(Scope),
}

/// What a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct By {
    /// On which addresses its port is mapped.
    pub on: On,
    /// It has ports from a first to a last one: see [`super::range`].
    pub is_range: bool,
}

impl By {
    /// One port of all addresses.
    pub const PORT: By = By::one(On::All);
    /// One port of one address.
    pub const ADDRESS: By = By::one(On::One);

    /// One port.
    pub const fn one(on: On) -> By {
        let is_range = false;
        By { on, is_range }
    }

    /// Ports from a first to a last one.
    pub const fn range(on: On) -> By {
        let is_range = true;
        By { on, is_range }
    }

    /// The limits, if it is by some.
    pub fn scope(self) -> Option<Scope> {
        match self.on {
            On::Within(scope) => Some(scope),
            On::All | On::One => None,
        }
    }
}

/// One of our sets and maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId {
    /// What it is for.
    pub purpose: Purpose,
    /// What its keys have.
    pub by: By,
}

impl SetId {
    /// Its name.
    pub fn name(self) -> String {
        let SetId { purpose, by } = self;
        let on = match by.on {
            On::All => String::new(),
            On::One => "_hostip".to_owned(),
            On::Within(scope) => format!("{WITHIN}{scope}"),
        };
        let stem = match (purpose, by.on) {
            (Purpose::Attachment, _) => return "attachments".into(),
            (Purpose::Dnat, On::One) => "hostips".into(),
            (Purpose::Dnat, _) => format!("hostports{on}"),
            (Purpose::Shadowed, _) => format!("shadowed{on}"),
            (Purpose::Localhost, _) => format!("localhost{on}"),
            (Purpose::MasqAll, _) => format!("masq_all{on}"),
            (Purpose::Hairpin(prefix), _) => format!("hairpin{prefix}{on}"),
        };
        stem + if by.is_range { RANGES } else { "" }
    }

    /// The set of a name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<SetId> {
        let one = name.strip_suffix(RANGES);
        let is_range = one.is_some();
        let one = one.unwrap_or(name);
        let scoped = || {
            let (stem, scope) = one.rsplit_once(WITHIN)?;
            Some((stem, On::Within(Scope::from_text(scope)?)))
        };
        let by_address = || Some((one.strip_suffix("_hostip")?, On::One));
        let (stem, on) = match one {
            "hostips" => ("hostports", On::One),
            _ => by_address().or_else(scoped).unwrap_or((one, On::All)),
        };
        let purpose = match stem {
            "hostports" => Purpose::Dnat,
            "shadowed" => Purpose::Shadowed,
            "localhost" => Purpose::Localhost,
            "masq_all" => Purpose::MasqAll,
            "attachments" => Purpose::Attachment,
            _ => Purpose::Hairpin(stem.strip_prefix("hairpin")?.parse().ok()?),
        };
        let by = By { on, is_range };
        let id = SetId { purpose, by };
        (id.name() == name).then_some(id)
    }

    /// How it is given to the kernel.
    pub fn set(self, family: Family) -> Set {
        if self.purpose == Purpose::Attachment {
            return Set {
                name: self.name(),
                flags: 0,
                key_type: IFNAME,
                key_len: INDEX_LEN,
                data: None,
            };
        }
        let (address, len) = (address_type(family), u32::from(family.address_len()));
        let by_address = usize::from(self.by.on == On::One);
        let addresses = by_address + usize::from(self.is_hairpin());
        let mut parts = vec![address; addresses];
        parts.extend([PROTOCOL, SERVICE]);
        let mut data = vec![address];
        if !self.by.is_range {
            data.push(SERVICE);
        }
        if self.purpose == Purpose::Shadowed {
            // Its place in the queue, and what is masqueraded.
            parts.push(SERVICE);
            data.push(SERVICE);
        }
        let is_map = matches!(self.purpose, Purpose::Dnat | Purpose::Shadowed);
        let bytes = |parts: &[u32]| -> u32 {
            let len = |part: &u32| if *part == address { len } else { 4 };
            parts.iter().map(len).sum()
        };
        Set {
            name: self.name(),
            flags: self.flags(is_map),
            key_type: concatenated(&parts),
            key_len: bytes(&parts),
            data: is_map.then(|| (concatenated(&data), bytes(&data))),
        }
    }

    fn flags(self, is_map: bool) -> u32 {
        let map = if is_map { uapi::SET_FLAG_MAP } else { 0 };
        match self.by.is_range {
            true => map | uapi::SET_FLAG_INTERVAL | uapi::SET_FLAG_CONCAT,
            false => map,
        }
    }

    /// What creates it. Where a host port leads to, its connections are counted.
    pub fn add(self, family: Family) -> Action {
        Action::AddSet {
            set: self.set(family),
            counted: self.purpose == Purpose::Dnat,
        }
    }

    fn is_hairpin(self) -> bool {
        matches!(self.purpose, Purpose::Hairpin(_))
    }

    /// The rule that asks this set.
    pub fn rule(self, family: Family) -> Rule {
        let mut exprs = Vec::new();
        if self.purpose == Purpose::Localhost {
            exprs.extend(source_is(family, &[127, 0, 0, 1]));
        }
        exprs.extend(self.key(family));
        let words = u32::from(family.address_len()) / 4;
        let is_map = self.purpose == Purpose::Dnat;
        exprs.push(Expr::Lookup {
            set: self.name(),
            from: FIRST,
            into: is_map.then_some(FIRST),
        });
        if is_map {
            exprs.push(Expr::Dnat {
                family: family.nf_number(),
                address: FIRST,
                port: (!self.by.is_range).then_some(Register(words)),
            });
        } else {
            exprs.extend(set_mark(MARK));
        }
        Rule::new(exprs)
    }

    /// Loads the key: source network, host address, protocol and port, as far as the set has them.
    fn key(self, family: Family) -> Vec<Expr> {
        let words = u32::from(family.address_len()) / 4;
        let mut exprs = Vec::new();
        let mut word = 0;
        if let Purpose::Hairpin(prefix) = self.purpose {
            exprs.push(address_at(family, family.source_offset(), Register(word)));
            if prefix < family.bits() {
                exprs.push(Expr::Bitwise {
                    from: Register(word),
                    into: Register(word),
                    mask: family.mask(prefix),
                    xor: vec![0; usize::from(family.address_len())],
                });
            }
            word += words;
        }
        if self.by.on == On::One {
            let offset = family.destination_offset();
            exprs.push(address_at(family, offset, Register(word)));
            word += words;
        }
        exprs.push(Expr::Meta {
            key: uapi::META_L4PROTO,
            into: Register(word),
        });
        exprs.push(Expr::Payload {
            base: uapi::PAYLOAD_TRANSPORT_HEADER,
            offset: 2,
            len: 2,
            into: Register(word + 1),
        });
        exprs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sets_are_read_back_and_others_are_not_ours() {
        let purposes = [
            Purpose::Dnat,
            Purpose::Shadowed,
            Purpose::Localhost,
            Purpose::MasqAll,
            Purpose::Hairpin(0),
            Purpose::Hairpin(128),
        ];
        for purpose in purposes {
            for on in [On::All, On::One, On::Within(Scope(0xbad))] {
                for by in [By::one(on), By::range(on)] {
                    let id = SetId { purpose, by };
                    assert_eq!(SetId::from_name(&id.name()), Some(id));
                }
            }
        }
        for name in [
            "",
            "hairpin",
            "hairpin016",
            "hairpinx",
            "hostips_hostip",
            "attachments_ranges",
            "hostips_ranges_ranges",
            "hostports_ranges_within_00000000000000000000000000000bad",
            "hostips_within_00000bad",
            "hostports_within_bad",
            "x",
        ] {
            assert_eq!(SetId::from_name(name), None, "{name}");
        }
    }
}
