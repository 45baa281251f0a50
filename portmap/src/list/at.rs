//! The node's addresses on which a host port is mapped.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use common::Family;
use common::result::Prefix;

use crate::limits::prefixes;

/// Some of the node's addresses, shared by the ports of an attachment: prefixes in order, none meeting another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct At(Arc<[Prefix]>);

impl At {
    /// Those of prefixes of one IP version, in any order.
    pub fn of(list: &[Prefix]) -> At {
        match list.first() {
            Some(first) => At(prefixes::without(Family::of(first.addr), list, &[]).into()),
            None => At([].into()),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is one of them.
    pub fn has(&self, addr: IpAddr) -> bool {
        prefixes::have(&self.0, addr)
    }

    /// Those that others have, too.
    pub fn common(&self, others: &At) -> At {
        self.with(others, prefixes::common)
    }

    /// Those that others do not have.
    pub fn without(&self, others: &At) -> At {
        self.with(others, prefixes::without)
    }

    fn with(&self, others: &At, of: fn(Family, &[Prefix], &[Prefix]) -> Vec<Prefix>) -> At {
        let family = self.0.first().map(|first| Family::of(first.addr));
        At(family.map_or_else(|| [].into(), |family| of(family, &self.0, &others.0).into()))
    }

    /// Each in words: a whole address without the length.
    pub fn words(&self) -> Vec<String> {
        let word = |prefix: &Prefix| match prefix.len == Family::of(prefix.addr).bits() {
            true => prefix.addr.to_string(),
            false => prefix.to_string(),
        };
        self.0.iter().map(word).collect()
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_common_and_others_are_found() {
        let prefix = |word: &str| match (word.contains('/'), word.parse()) {
            (false, Ok(addr)) => Prefix::whole(addr),
            _ => Prefix::from_text(word).unwrap(),
        };
        let at = |text: &str| {
            let words = text.split_whitespace();
            At::of(&words.map(prefix).collect::<Vec<_>>())
        };
        for (ours, theirs, both, left) in [
            (
                "192.0.2.0/24 10.0.0.9",
                "10.0.0.0/8",
                "10.0.0.9",
                "192.0.2.0/24",
            ),
            ("10.0.0.0/31", "10.0.0.1", "10.0.0.1", "10.0.0.0"),
            ("10.0.0.1", "10.0.0.0/8", "10.0.0.1", ""),
            ("fd00::1", "fd00::2", "", "fd00::1"),
            ("", "10.0.0.1", "", ""),
            ("10.0.0.1", "", "", "10.0.0.1"),
        ] {
            let (ours, theirs) = (at(ours), at(theirs));
            assert_eq!(ours.common(&theirs).to_string(), both);
            assert_eq!(ours.without(&theirs).to_string(), left);
            assert_eq!(ours.without(&theirs).is_empty(), left.is_empty());
        }
        assert!(at("10.0.0.0/8 192.0.2.1").has("192.0.2.1".parse().unwrap()));
    }
}
