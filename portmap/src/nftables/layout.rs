//! Our table: its chains with their rules, and its sets. The same for every attachment; what an
//! attachment adds are elements (elements.rs) or, with conditions, a chain (conditions.rs).
//!
//! docs/nftables.md shows it as `nft list table` prints it.

use common::Family;
use nft::expr::{Expr, FIRST};
use nft::object::{Base, Chain, Rule};
use nft::parts::{equal, masked};
use nft::uapi;

use super::scope::names;
use super::set::{ATTACHMENTS, By, MARK, On, Purpose, RANGES, SetId};
use crate::limits::Scope;

/// The table's name, in both families.
pub const TABLE: &str = "cni_portmap";
/// The table's comment, by which we know it.
pub const COMMENT: &str = "CNI portmap: owners are network/container/interface";

/// The chain that both hooks jump to.
pub const HOSTPORTS: &str = "hostports";
/// The chain with one rule for every attachment with conditions.
pub const CONDITIONS: &str = "conditions";
/// The chain that drops what `route_localnet` would let in.
pub const GUARD: &str = "loopback_guard";

/// The chain of the host ports with an address.
pub const BY_ADDRESS: &str = "by_address";
/// That of those without.
const BY_PORT: &str = "by_port";

/// What is there only where an attachment wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// The limits that ports are mapped in.
    pub scope: Option<Scope>,
    /// Of which there are ranges of host ports: of [`Parts::kinds`].
    ranges: [bool; 3],
}

impl Parts {
    /// The kinds of host ports, in the order in which packets come to them.
    fn kinds(self) -> [Option<On>; 3] {
        [Some(On::One), self.scope.map(On::Within), Some(On::All)]
    }

    /// Those of some limits.
    pub const fn of(scope: Option<Scope>) -> Parts {
        let ranges = [false; 3];
        Parts { scope, ranges }
    }

    /// The same with ranges of more kinds.
    pub fn with_ranges(self, of: impl Fn(On) -> bool) -> Parts {
        let mut ranges = self.ranges;
        for (has, kind) in ranges.iter_mut().zip(self.kinds()) {
            *has |= kind.is_some_and(&of);
        }
        Parts { ranges, ..self }
    }

    /// What is looked up.
    pub fn lookups(self) -> impl Iterator<Item = By> {
        let kinds = self.kinds().into_iter().zip(self.ranges);
        kinds.flat_map(|(on, has_ranges)| {
            let ranges = on.filter(|_| has_ranges).map(By::range);
            on.map(By::one).into_iter().chain(ranges)
        })
    }
}

/// The chain that looks up host ports. That of single ones leads to that of ranges at its end.
pub fn chain(by: By) -> String {
    let one = match by.on {
        On::One => BY_ADDRESS.to_owned(),
        On::Within(scope) => names::chain(scope),
        On::All => BY_PORT.to_owned(),
    };
    one + if by.is_range { RANGES } else { "" }
}

/// The sets that are always there, with those of some parts.
pub fn fixed_sets(family: Family, parts: Parts) -> Vec<SetId> {
    let asked = parts.lookups().flat_map(|by| last_sets(family, by));
    let queue = parts.scope.map(|scope| SetId {
        purpose: Purpose::Shadowed,
        by: By::one(On::Within(scope)),
    });
    let queues = QUEUES.into_iter().chain(queue);
    asked.chain([ATTACHMENTS]).chain(queues).collect()
}

/// The maps of those who wait for a host port.
const QUEUES: [SetId; 2] = [
    SetId {
        purpose: Purpose::Shadowed,
        by: By::ADDRESS,
    },
    SetId {
        purpose: Purpose::Shadowed,
        by: By::PORT,
    },
];

/// The sets that a lookup chain asks last, in order: a packet that an earlier one knows is marked
/// and continues, the last one translates and ends.
fn last_sets(family: Family, by: By) -> Vec<SetId> {
    let mut purposes = vec![Purpose::MasqAll, Purpose::Dnat];
    if family == Family::V4 {
        purposes.insert(0, Purpose::Localhost);
    }
    purposes
        .into_iter()
        .map(|purpose| SetId { purpose, by })
        .collect()
}

/// The chains with the rules that they always have. With `guard`, also the one that keeps foreign
/// packets away from 127.0.0.0/8; with some parts, also theirs.
pub fn chains(family: Family, guard: bool, parts: Parts) -> Vec<(Chain, Vec<Rule>)> {
    let nat = |name: &str, hook, priority, rule| (base(name, "nat", hook, priority), vec![rule]);
    let mut chains: Vec<(Chain, Vec<Rule>)> = vec![(regular(CONDITIONS), vec![])];
    let mut lookups: Vec<By> = parts.lookups().collect();
    // A chain is there before the one that leads to it.
    lookups.sort_by_key(|by| !by.is_range);
    for by in &lookups {
        let ranges = By::range(by.on);
        let leads = !by.is_range && lookups.contains(&ranges);
        let sets = last_sets(family, *by).into_iter();
        let rules = sets.map(|set| set.rule(family));
        let rules = rules.chain(leads.then(|| jump(&chain(ranges))));
        chains.push((regular(&chain(*by)), rules.collect()));
    }
    let order = [CONDITIONS, BY_ADDRESS, BY_PORT];
    chains.push((regular(HOSTPORTS), order.map(jump).to_vec()));
    let (dstnat, srcnat) = (uapi::PRIORITY_DSTNAT, uapi::PRIORITY_SRCNAT);
    chains.extend([
        nat("prerouting", uapi::HOOK_PREROUTING, dstnat, to_hostports()),
        nat("output", uapi::HOOK_OUTPUT, dstnat, to_hostports()),
        nat("postrouting", uapi::HOOK_POSTROUTING, srcnat, masquerade()),
    ]);
    if guard {
        let (hook, priority) = (uapi::HOOK_PREROUTING, uapi::PRIORITY_RAW);
        let rules = GUARDED.map(drop_foreign_loopback).to_vec();
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

/// What the guard looks at: where to, and where from.
const GUARDED: [u32; 2] = [Family::V4.destination_offset(), Family::V4.source_offset()];

/// `iifname != "lo" ip daddr 127.0.0.0/8 drop`, and the same of `ip saddr`.
///
/// Before conntrack, so that the addresses are those on the wire: an answer that is about to be
/// translated back to 127.0.0.1 does not match.
fn drop_foreign_loopback(offset: u32) -> Rule {
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
            offset,
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
    fn every_jump_leads_to_a_chain_of_the_table() {
        for family in Family::ALL {
            let parts = Parts::of(Some(Scope(1))).with_ranges(|_| true);
            let chains = chains(family, true, parts);
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
