//! The plan: what the kernel is to hold for an attachment, as plain data.

use std::fmt;
use std::net::IpAddr;

use common::result::Prefix;

use crate::config::Config;
use crate::queue::Queue;
use crate::subnets::Subnets;
use crate::tbf::{self, LATENCY, Limit, Packets, Tbf};
use crate::tc::filter::{Key, Rule, Verdict};
use crate::tc::{ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, Hook};

/// The link on which the traffic of an attachment can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The veth's end in the host: what leaves it goes to the container.
    Host,
    /// The container's own interface: what leaves it comes from the container.
    Container,
}

/// What the plan depends on beside the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Which end is limited.
    pub side: Side,
    /// Its name.
    pub link: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The largest packet in bytes that it may be handed.
    pub gso: u32,
    /// The name for the ifb behind the ingress hook.
    pub ingress_ifb: String,
    /// The name for the ifb behind the egress hook.
    pub egress_ifb: String,
}

/// The numbers of a token bucket, and those that the reference would have set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// What ADD sets.
    pub ours: Tbf,
    /// What CHECK accepts too, where nothing is requested that the reference cannot do: a container
    /// that was started before the plugin was replaced is still limited as it was. `cnictl reconcile`
    /// sets ours.
    pub reference: Option<Tbf>,
    /// What is to be in the place of the bucket's own queue.
    pub queue: Queue,
}

/// A filter: the protocol that it is for (`ETH_P_*`) and what it does. `Verdict::Redirect(0)` is
/// the ifb, whose index is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFilter {
    /// An `ETH_P_*` number.
    pub protocol: u16,
    /// What it does.
    pub rule: Rule,
}

/// A way around: packets of one direction are sent through an ifb, whose root qdisc limits them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// Where packets leave the link's usual path.
    pub hook: Hook,
    /// The ifb's name.
    pub ifb: String,
    /// The ifb's MTU in bytes.
    pub mtu: u32,
    /// The ifb's root qdisc.
    pub tbf: Numbers,
    /// Which packets go around, in the order in which packets meet the filters.
    pub filters: Vec<PlannedFilter>,
}

/// What the kernel is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The link's name.
    pub link: String,
    /// The link's MTU in bytes.
    pub mtu: u32,
    /// The link's root qdisc.
    pub root: Option<Numbers>,
    /// At most one for each hook.
    pub detours: Vec<Detour>,
}

impl Plan {
    /// The plan for a configuration.
    ///
    /// A root qdisc serves for what leaves a link, if all of it is limited. Everything else needs a
    /// detour, as packets that come in cannot be queued, and a root qdisc cannot choose.
    pub fn new(config: &Config, facts: &Facts) -> Plan {
        let (outgoing, incoming) = match facts.side {
            Side::Host => (config.ingress, config.egress),
            Side::Container => (config.egress, config.ingress),
        };
        let packets = Packets::new(facts.mtu, facts.gso);
        let numbers = |limit: Limit| Numbers {
            ours: Tbf::new(limit, config.burst_policy, config.latency, packets),
            queue: Queue::new(config.queue, limit.rate / 8, config.latency, packets.frame),
            reference: (config.latency == LATENCY && limit.burst > 0)
                .then(|| Tbf::of_the_reference(limit)),
        };
        let detour = |hook: Hook, limit: Limit| Detour {
            hook,
            ifb: match hook {
                Hook::Ingress => facts.ingress_ifb.clone(),
                Hook::Egress => facts.egress_ifb.clone(),
            },
            mtu: facts.mtu,
            tbf: numbers(limit),
            filters: filters(&config.subnets, far_end(facts.side, hook)),
        };
        let all = config.subnets == Subnets::All;
        Plan {
            link: facts.link.clone(),
            mtu: facts.mtu,
            root: outgoing.filter(|_| all).map(numbers),
            detours: [
                incoming.map(|limit| detour(Hook::Ingress, limit)),
                outgoing
                    .filter(|_| !all)
                    .map(|limit| detour(Hook::Egress, limit)),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }

    /// This plan, and what another plugin of the same chain limits beside it.
    #[must_use]
    pub fn and(mut self, other: Plan) -> Plan {
        self.root = self.root.or(other.root);
        for detour in other.detours {
            if self.detour(detour.hook).is_none() {
                self.detours.push(detour);
            }
        }
        self
    }

    /// A warning about each bucket that cannot hold a packet as large as the MTU: such packets never
    /// pass. The limit stays as it was requested, as with the reference.
    pub fn too_small(&self) -> Vec<String> {
        let frame = u64::from(tbf::frame(self.mtu));
        let root = self.root.iter().map(|numbers| (&self.link, numbers));
        let detours = self.detours.iter().map(|detour| (&detour.ifb, &detour.tbf));
        root.chain(detours)
            .map(|(link, numbers)| (link, numbers.ours.burst()))
            .filter(|(_, burst)| *burst < frame)
            .map(|(link, burst)| {
                format!(
                    "{link}: no frame of {frame} bytes ever passes, because the burst is {burst} bytes"
                )
            })
            .collect()
    }

    /// The detour of a hook.
    pub fn detour(&self, hook: Hook) -> Option<&Detour> {
        self.detours.iter().find(|detour| detour.hook == hook)
    }
}

/// Which address of a packet is that of the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

fn far_end(side: Side, hook: Hook) -> End {
    match (side, hook) {
        // From the container.
        (Side::Host, Hook::Ingress) | (Side::Container, Hook::Egress) => End::Destination,
        // Towards the container.
        (Side::Host, Hook::Egress) | (Side::Container, Hook::Ingress) => End::Source,
    }
}

fn filters(subnets: &Subnets, end: End) -> Vec<PlannedFilter> {
    let everything = PlannedFilter {
        protocol: ETH_P_ALL,
        rule: Rule {
            keys: Vec::new(),
            verdict: Verdict::Redirect(0),
        },
    };
    match subnets {
        Subnets::All => vec![everything],
        Subnets::Only(prefixes) => of_prefixes(prefixes, end, &Verdict::Redirect(0)),
        Subnets::Except(prefixes) => {
            let mut filters = of_prefixes(prefixes, end, &Verdict::Pass);
            filters.push(everything);
            filters
        }
    }
}

/// A filter for each prefix, IPv4 first: filters of one protocol share a place.
fn of_prefixes(prefixes: &[Prefix], end: End, verdict: &Verdict) -> Vec<PlannedFilter> {
    let (v4, v6): (Vec<Prefix>, Vec<Prefix>) = prefixes.iter().partition(|p| p.addr.is_ipv4());
    v4.into_iter()
        .chain(v6)
        .map(|prefix| PlannedFilter {
            protocol: if prefix.addr.is_ipv4() {
                ETH_P_IP
            } else {
                ETH_P_IPV6
            },
            rule: Rule {
                keys: keys(prefix, end),
                verdict: verdict.clone(),
            },
        })
        .collect()
}

/// The prefix as comparisons of 32 bits in the IP header (RFC 791 section 3.1, RFC 8200 section 3).
fn keys(prefix: Prefix, end: End) -> Vec<Key> {
    let (start, words): (i32, Vec<u32>) = match (prefix.addr, end) {
        (IpAddr::V4(addr), End::Source) => (12, vec![addr.to_bits()]),
        (IpAddr::V4(addr), End::Destination) => (16, vec![addr.to_bits()]),
        (IpAddr::V6(addr), End::Source) => (8, words(addr.to_bits())),
        (IpAddr::V6(addr), End::Destination) => (24, words(addr.to_bits())),
    };
    (0u32..)
        .zip((start..).step_by(4))
        .zip(words)
        .map_while(|((index, offset), value)| {
            let bits = u32::from(prefix.len).saturating_sub(index * 32).min(32);
            // All further words are free too.
            let mask = u32::MAX.checked_shl(32 - bits)?;
            Some(Key {
                offset,
                value: value & mask,
                mask,
            })
        })
        .collect()
}

fn words(bits: u128) -> Vec<u32> {
    bits.to_be_bytes()
        .chunks_exact(4)
        .map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        .collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            link,
            mtu: _,
            root,
            detours,
        } = self;
        if let Some(numbers) = root {
            writeln!(f, "dev {link} root {}", numbers.ours)?;
        }
        for detour in detours {
            write!(f, "{detour}")?;
            for filter in &detour.filters {
                writeln!(f, "dev {link} {} {filter} {}", detour.hook, detour.ifb)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detour {
            hook: _,
            ifb,
            mtu,
            tbf,
            filters: _,
        } = self;
        writeln!(f, "dev {ifb} type ifb mtu {mtu} up")?;
        writeln!(f, "dev {ifb} root {}", tbf.ours)
    }
}

impl fmt::Display for PlannedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlannedFilter { protocol, rule } = self;
        let protocol = match *protocol {
            ETH_P_IP => "ip".to_owned(),
            ETH_P_IPV6 => "ipv6".to_owned(),
            ETH_P_ALL => "all".to_owned(),
            other => format!("{other:#06x}"),
        };
        write!(f, "protocol {protocol} u32 match {rule}")
    }
}

#[cfg(test)]
mod tests;
