//! The kernel's notifications of nf_tables: which of them are about what this plugin makes, for the tool
//! for people.

use common::Family;
use common::sys::netlink::{Message, attribute, text};
use nft::socket::content;
use nft::uapi;
use xtables::Table;
use xtables::legacy::HOOKS;

use crate::iptables::CHAINS;
use crate::nftables::{layout, reference};

/// What one notification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something was made, changed or removed that no host port depends on.
    Foreign,
    /// Something that host ports may depend on was.
    Ours,
    /// All that came since the last one is one transaction, of a process of this name (`comm`).
    End(String),
}

impl Notice {
    /// Reads a message of `NFNLGRP_NFTABLES`. What is not understood may be ours.
    pub fn of(message: &Message) -> Notice {
        let attributes = content(message);
        if message.kind == uapi::NEWGEN {
            let name = attribute(attributes, uapi::GEN_PROC_NAME).map(text);
            return Notice::End(name.unwrap_or_default());
        }
        let family = message.body.first().copied().unwrap_or_default();
        // The table's name is the first attribute of all objects.
        let table = attribute(attributes, uapi::TABLE_NAME).map(text);
        let is_ours = match table.as_deref() {
            None | Some(layout::TABLE | reference::TABLE) => true,
            Some(table) => {
                is_iptables(family, table)
                    && chain(message.kind, attributes).is_none_or(|chain| is_relied_on(&chain))
            }
        };
        match is_ours {
            true => Notice::Ours,
            false => Notice::Foreign,
        }
    }
}

fn is_relied_on(chain: &str) -> bool {
    chain.starts_with(CHAINS) || HOOKS.contains(&chain)
}

fn is_iptables(family: u8, table: &str) -> bool {
    let is_of = |one: Family| one.nf_number() == family;
    Family::ALL.into_iter().any(is_of) && Table::ALL.iter().any(|ours| ours.name() == table)
}

/// The name of the chain that a message is about, if it is about one.
fn chain(kind: u16, attributes: &[u8]) -> Option<String> {
    let number = match kind {
        uapi::NEWRULE | uapi::DELRULE => uapi::RULE_CHAIN,
        uapi::NEWCHAIN | uapi::DELCHAIN => uapi::CHAIN_NAME,
        _ => return None,
    };
    attribute(attributes, number).map(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::sys::nla::{Nla, body};

    fn notice(kind: u16, family: u8, attributes: &[(u16, &str)]) -> Notice {
        let attributes = attributes.iter().map(|(kind, text)| Nla::text(*kind, text));
        let attributes: Vec<Nla> = attributes.collect();
        let body = body(&[family, 0, 0, 0], &attributes).unwrap();
        Notice::of(&Message {
            kind,
            sequence: 0,
            body,
        })
    }

    #[test]
    fn what_host_ports_depend_on_is_told_from_what_is_others() {
        let (inet, ip, ip6) = (1, 2, 10);
        for (family, table, chain, expected) in [
            (ip, "cni_portmap", "x", Notice::Ours),
            (ip6, "cni_hostport", "x", Notice::Ours),
            (inet, "firewalld", "nat_PREROUTING", Notice::Foreign),
            (ip, "nat", "CNI-HOSTPORT-DNAT", Notice::Ours),
            (ip6, "nat", "CNI-DN-0123456789abcdef01234", Notice::Ours),
            (ip, "mangle", "PREROUTING", Notice::Ours),
            (ip, "nat", "KUBE-SERVICES", Notice::Foreign),
            (ip, "filter", "FORWARD", Notice::Foreign),
            (inet, "nat", "PREROUTING", Notice::Foreign),
        ] {
            let of_rule = [(uapi::RULE_TABLE, table), (uapi::RULE_CHAIN, chain)];
            let of_chain = [(uapi::CHAIN_TABLE, table), (uapi::CHAIN_NAME, chain)];
            let found = (family, table, chain);
            assert_eq!(
                notice(uapi::DELRULE, family, &of_rule),
                expected,
                "{found:?}"
            );
            assert_eq!(
                notice(uapi::NEWCHAIN, family, &of_chain),
                expected,
                "{found:?}"
            );
        }
        let whole = [(uapi::TABLE_NAME, "nat")];
        assert_eq!(notice(uapi::DELTABLE, ip, &whole), Notice::Ours);
        assert_eq!(notice(uapi::DELTABLE, ip, &[]), Notice::Ours);
    }

    #[test]
    fn a_transaction_ends_with_the_name_of_its_process() {
        let end = |attributes: &[_]| notice(uapi::NEWGEN, 0, attributes);
        let name = [(uapi::GEN_PROC_NAME, "firewalld")];
        assert_eq!(end(&name), Notice::End("firewalld".into()));
        assert_eq!(end(&[]), Notice::End(String::new()));
    }
}
