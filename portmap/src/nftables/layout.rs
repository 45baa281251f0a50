//! Our table: its chains with their rules, and its sets. The same for every attachment; what an
//! attachment adds are elements (elements.rs) or, with conditions, a chain (conditions.rs).
//!
//! docs/nftables.md shows it as `nft list table` prints it.

use super::expr::{Expr, FIRST, Register};
use super::object::{Base, Chain, Rule, Set};
use super::uapi;
use crate::mapping::Family;

/// The table's name, in both families.
pub const TABLE: &str = "cni_portmap";
/// The table's comment, by which we know it.
pub const COMMENT: &str = "CNI portmap: owners are network/container/interface";

/// The bit by which postrouting knows what to masquerade: the reference's default mark.
pub const MARK: u32 = 0x2000;

/// The chain that both hooks jump to.
pub const HOSTPORTS: &str = "hostports";
/// The chain with one rule for every attachment with conditions.
pub const CONDITIONS: &str = "conditions";
/// The chain that drops what `route_localnet` would let in.
pub const GUARD: &str = "loopback_guard";

/// What a set or map of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Where a host port leads to.
    Dnat,
    /// Host ports that 127.0.0.1 may use: masqueraded from there. IPv4 only.
    Localhost,
    /// Host ports masqueraded from everywhere.
    MasqAll,
    /// Host ports masqueraded from the container's own network, whose prefix length this is.
    Hairpin(u8),
}

/// One of our sets and maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId {
    /// What it is for.
    pub purpose: Purpose,
    /// Whether the host's address is part of the key.
    pub by_address: bool,
}

/// The chain of the host ports with an address, and that of those without, in the order asked.
pub const LOOKUPS: [(&str, bool); 2] = [("by_address", true), ("by_port", false)];

impl SetId {
    /// Its name.
    pub fn name(self) -> String {
        let SetId {
            purpose,
            by_address,
        } = self;
        let suffix = if by_address { "_hostip" } else { "" };
        match (purpose, by_address) {
            (Purpose::Dnat, false) => "hostports".into(),
            (Purpose::Dnat, true) => "hostips".into(),
            (Purpose::Localhost, _) => format!("localhost{suffix}"),
            (Purpose::MasqAll, _) => format!("masq_all{suffix}"),
            (Purpose::Hairpin(prefix), _) => format!("hairpin{prefix}{suffix}"),
        }
    }

    /// The set of a name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<SetId> {
        let (stem, by_address) = match name {
            "hostips" => ("hostports", true),
            _ => name
                .strip_suffix("_hostip")
                .map_or((name, false), |stem| (stem, true)),
        };
        let purpose = match stem {
            "hostports" => Purpose::Dnat,
            "localhost" => Purpose::Localhost,
            "masq_all" => Purpose::MasqAll,
            _ => Purpose::Hairpin(stem.strip_prefix("hairpin")?.parse().ok()?),
        };
        let id = SetId {
            purpose,
            by_address,
        };
        (id.name() == name).then_some(id)
    }

    /// How the kernel is told of it.
    pub fn set(self, family: Family) -> Set {
        // `TYPE_INET_PROTOCOL` and `TYPE_INET_SERVICE` of nft's include/datatype.h.
        const PROTOCOL: u32 = 12;
        const SERVICE: u32 = 13;
        let (address, len) = (family.address_type(), u32::from(family.address_len()));
        let addresses = usize::from(self.by_address) + usize::from(self.is_hairpin());
        let mut parts = vec![address; addresses];
        parts.extend([PROTOCOL, SERVICE]);
        let concat = |parts: &[u32]| parts.iter().fold(0, |all, part| all << 6 | part);
        let is_map = self.purpose == Purpose::Dnat;
        Set {
            name: self.name(),
            flags: if is_map { uapi::SET_FLAG_MAP } else { 0 },
            key_type: concat(&parts),
            key_len: parts
                .iter()
                .map(|part| if *part == address { len } else { 4 })
                .sum(),
            data: is_map.then(|| (concat(&[address, SERVICE]), len + 4)),
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
                port: Register(words),
            });
        } else {
            exprs.extend(set_mark());
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
        if self.by_address {
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

/// The sets that are always there.
pub fn fixed_sets(family: Family) -> Vec<SetId> {
    LOOKUPS
        .iter()
        .flat_map(|(_, by_address)| last_sets(family, *by_address))
        .collect()
}

/// The sets that a lookup chain asks last, in order: a packet that an earlier one knows is marked
/// and goes on, the last one translates and ends.
fn last_sets(family: Family, by_address: bool) -> Vec<SetId> {
    let mut purposes = vec![Purpose::MasqAll, Purpose::Dnat];
    if family == Family::V4 {
        purposes.insert(0, Purpose::Localhost);
    }
    purposes
        .into_iter()
        .map(|purpose| SetId {
            purpose,
            by_address,
        })
        .collect()
}

/// The chains with the rules that they always have. With `guard`, also the one that keeps foreign
/// packets away from 127.0.0.0/8.
pub fn chains(family: Family, guard: bool) -> Vec<(Chain, Vec<Rule>)> {
    let nat = |name: &str, hook, priority, rule| (base(name, "nat", hook, priority), vec![rule]);
    let mut chains: Vec<(Chain, Vec<Rule>)> = vec![(regular(CONDITIONS), vec![])];
    for (name, by_address) in LOOKUPS {
        let rules = last_sets(family, by_address)
            .into_iter()
            .map(|set| set.rule(family))
            .collect();
        chains.push((regular(name), rules));
    }
    let order = [CONDITIONS, LOOKUPS[0].0, LOOKUPS[1].0];
    chains.push((regular(HOSTPORTS), order.map(jump).to_vec()));
    let (dstnat, srcnat) = (uapi::PRIORITY_DSTNAT, uapi::PRIORITY_SRCNAT);
    chains.extend([
        nat("prerouting", uapi::HOOK_PREROUTING, dstnat, to_hostports()),
        nat("output", uapi::HOOK_OUTPUT, dstnat, to_hostports()),
        nat("postrouting", uapi::HOOK_POSTROUTING, srcnat, masquerade()),
    ]);
    if guard {
        let (hook, priority) = (uapi::HOOK_PREROUTING, uapi::PRIORITY_RAW);
        let rules = vec![drop_foreign_loopback()];
        chains.push((base(GUARD, "filter", hook, priority), rules));
    }
    chains
}

fn regular(name: &str) -> Chain {
    Chain {
        name: name.to_owned(),
        base: None,
    }
}

fn base(name: &str, kind: &str, hook: u32, priority: i32) -> Chain {
    Chain {
        name: name.to_owned(),
        base: Some(Base {
            kind: kind.to_owned(),
            hook,
            priority,
            policy: uapi::ACCEPT,
        }),
    }
}

fn jump(chain: &str) -> Rule {
    Rule::new(vec![Expr::Jump(chain.to_owned())])
}

fn address_at(family: Family, offset: u32, into: Register) -> Expr {
    Expr::Payload {
        base: uapi::PAYLOAD_NETWORK_HEADER,
        offset,
        len: u32::from(family.address_len()),
        into,
    }
}

fn equal(value: impl Into<Vec<u8>>) -> Expr {
    Expr::Compare {
        from: FIRST,
        op: uapi::CMP_EQ,
        value: value.into(),
    }
}

fn source_is(family: Family, address: &[u8]) -> [Expr; 2] {
    let load = address_at(family, family.source_offset(), FIRST);
    [load, equal(address)]
}

/// `fib daddr type local jump hostports`: only what is meant for this host (CVE-2025-67499).
fn to_hostports() -> Rule {
    Rule::new(vec![
        Expr::Fib {
            result: uapi::FIB_RESULT_ADDRTYPE,
            flags: uapi::FIB_DADDR,
            into: FIRST,
        },
        equal(uapi::ADDRTYPE_LOCAL.to_ne_bytes()),
        Expr::Jump(HOSTPORTS.to_owned()),
    ])
}

/// `meta mark set meta mark | 0x2000`
pub fn set_mark() -> [Expr; 3] {
    let (key, into, from) = (uapi::META_MARK, FIRST, FIRST);
    [
        Expr::Meta { key, into },
        Expr::Bitwise {
            from,
            into,
            mask: (!MARK).to_ne_bytes().to_vec(),
            xor: MARK.to_ne_bytes().to_vec(),
        },
        Expr::SetMeta { key, from },
    ]
}

fn masked(mask: u32) -> Expr {
    Expr::Bitwise {
        from: FIRST,
        into: FIRST,
        mask: mask.to_ne_bytes().to_vec(),
        xor: vec![0; 4],
    }
}

/// `ct status dnat meta mark & 0x2000 == 0x2000 masquerade`
fn masquerade() -> Rule {
    let (key, into) = (uapi::META_MARK, FIRST);
    Rule::new(vec![
        Expr::Ct {
            key: uapi::CT_STATUS,
            into: FIRST,
        },
        masked(uapi::STATUS_DNAT),
        Expr::Compare {
            from: FIRST,
            op: uapi::CMP_NEQ,
            value: vec![0; 4],
        },
        Expr::Meta { key, into },
        masked(MARK),
        equal(MARK.to_ne_bytes()),
        Expr::Masquerade,
    ])
}

/// `iifname != "lo" ip daddr 127.0.0.0/8 drop`
///
/// Before conntrack, so that the addresses are those on the wire: an answer that is about to be
/// translated back to 127.0.0.1 does not match.
fn drop_foreign_loopback() -> Rule {
    let (key, into) = (uapi::META_IIFNAME, FIRST);
    // Names are compared with all their `IFNAMSIZ` bytes.
    let mut lo = b"lo".to_vec();
    lo.resize(16, 0);
    Rule::new(vec![
        Expr::Meta { key, into },
        Expr::Compare {
            from: FIRST,
            op: uapi::CMP_NEQ,
            value: lo,
        },
        Expr::Payload {
            base: uapi::PAYLOAD_NETWORK_HEADER,
            offset: Family::V4.destination_offset(),
            len: 1,
            into: FIRST,
        },
        equal([127]),
        Expr::Drop,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sets_are_read_back_and_others_are_not_ours() {
        for family in Family::ALL {
            for id in fixed_sets(family) {
                assert_eq!(SetId::from_name(&id.name()), Some(id));
            }
        }
        let hairpin = SetId::from_name("hairpin16_hostip").unwrap();
        assert_eq!(hairpin.purpose, Purpose::Hairpin(16));
        assert!(hairpin.by_address);
        for name in [
            "",
            "hairpin",
            "hairpin016",
            "hairpinx",
            "hostips_hostip",
            "x",
        ] {
            assert_eq!(SetId::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_jump_leads_to_a_chain_of_the_table() {
        for family in Family::ALL {
            let chains = chains(family, true);
            for (index, (_, rules)) in chains.iter().enumerate() {
                for expr in rules.iter().flat_map(|rule| &rule.exprs) {
                    if let Expr::Jump(to) = expr {
                        let known = &chains[..index];
                        assert!(known.iter().any(|(chain, _)| chain.name == *to), "{to}");
                    }
                }
            }
        }
    }
}
