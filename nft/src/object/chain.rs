//! Chains.

use std::fmt;

use common::sys::netlink::{attribute, text};
use common::sys::nla::Nla;

use super::number;
use crate::uapi;

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

#[cfg(test)]
mod tests {
    use super::*;
    use common::sys::nla;

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
