//! Every host port in either variant and IP version, with its counters.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use common::error::{Code, Error};
use common::result::Prefix;
use common::{Attachment, Family, Protocol};
use nft::socket::Nft;
use xtables::meaning::Meaning;
use xtables::nf_tables::Seen;
use xtables::nf_tables::words::counters;
use xtables::{Table, Variant};

use super::owner::{self, Jump};
use super::reach::Reach;
use super::rules::{DNAT, OWN_PREFIX};
use super::tool::Tool;
use super::translation::of_rule;
use super::{kernel, native};
use crate::host_port::HostPort;
use crate::list::at::At;
use crate::list::row::{Counters, Row};

/// A rule without its `-A CHAIN`, and what it counted.
type Counted = (String, Counters);

/// Every host port, in the order in which they are consulted.
///
/// # Errors
/// What a program said.
pub fn list() -> Result<Vec<Row>, Error> {
    let mut all = Vec::new();
    if let Some(mut nft) = Nft::open_if_any()? {
        for family in Family::ALL {
            let seen = native::steady(&mut nft, |nft| Seen::whole(nft, family, &[Table::Nat]))?;
            all.extend(forwards(counted(&seen), "iptables-nft"));
        }
    }
    for family in Family::ALL {
        if kernel::chains(family, &[DNAT.to_owned()])?.is_empty() {
            continue;
        }
        let tried = format!("list the {family} host ports");
        let tool = Tool::of(family, Variant::Legacy)?.ok_or_else(|| {
            Error::new(Code::Unsupported, tried.clone())
                .with_details("iptables-save is not installed")
        })?;
        let text = tool
            .save_counted(Table::Nat)
            .map_err(|failure| failure.error(Code::System, tried))?;
        all.extend(forwards(chains(&text), "iptables-legacy"));
    }
    Ok(all)
}

type Chains = BTreeMap<String, Vec<Counted>>;

fn counted(seen: &Seen) -> Chains {
    let chain = |(name, rules): (&String, &Vec<String>)| {
        let kernel = seen.rules(Table::Nat, name).iter();
        let rules = rules.iter().zip(kernel).map(|(words, rule)| {
            let (packets, bytes) = counters(&rule.expressions).unwrap_or_default();
            (words.clone(), Counters { packets, bytes })
        });
        (name.clone(), rules.collect())
    };
    seen.state.table(Table::Nat).iter().map(chain).collect()
}

fn forwards(mut chains: Chains, backend: &'static str) -> Vec<Row> {
    let outer = chains.get("PREROUTING").into_iter().flatten();
    let is_led = outer
        .map(|(rule, _)| Meaning::of(rule))
        .any(|meaning| meaning.goes_to() == DNAT);
    let jumps = chains.remove(DNAT).unwrap_or_default();
    let mut chains: BTreeMap<String, ByPort> = chains
        .into_iter()
        .filter(|(name, _)| name.starts_with(OWN_PREFIX))
        .map(|(name, rules)| (name, by_port(&rules, backend)))
        .collect();
    let jumps = jumps.iter().filter_map(|(rule, _)| owner::jump(rule));
    let jumps: Vec<(Jump, Meaning)> = jumps.collect();
    // Before such a jump, one for single addresses is of their ports alone.
    let leads_from_all = |(_, meaning): &&(Jump, Meaning)| Reach::of(meaning).at.is_none();
    let from_all = jumps.iter().filter(leads_from_all);
    let from_all: BTreeSet<&str> = from_all.map(|(jump, _)| jump.chain.as_str()).collect();
    let mut limits = Limits::default();
    for (jump, meaning) in &jumps {
        if !from_all.contains(jump.chain.as_str()) {
            limits.take(&jump.chain, &Reach::of(meaning));
        }
    }
    let mut all = Vec::new();
    for (jump, meaning) in &jumps {
        let reach = Reach::of(meaning);
        let is_limited = reach.at.is_some() && !from_all.contains(jump.chain.as_str());
        // What several jumps lead to is shown at the place of the first one.
        let forwards = chains.get_mut(&jump.chain).into_iter();
        let forwards = forwards.flat_map(|chain| reached(chain, &reach, is_limited));
        all.extend(forwards.map(|row| Row {
            owner: attachment(&jump.comment),
            limits: limits.of(&jump.chain, &row.forward.port),
            is_conditional: reach.is_conditional,
            is_reached: is_led,
            ..row
        }));
    }
    let orphans = chains.into_values().flatten();
    all.extend(orphans.flat_map(|(_, forwards)| forwards));
    all
}

/// What jumps to a chain let through to it.
#[derive(Default)]
struct Limits<'a> {
    by_chain: BTreeMap<&'a str, Vec<(Prefix, Vec<Ports>)>>,
    /// The addresses, by chain and by which of its jumps have the port.
    known: BTreeMap<(&'a str, Vec<usize>), At>,
}

type Ports = (Protocol, RangeInclusive<u16>);

impl<'a> Limits<'a> {
    fn take(&mut self, chain: &'a str, reach: &Reach<'_>) {
        if let Some(at) = reach.at {
            let ports = reach.ports().collect();
            self.by_chain.entry(chain).or_default().push((at, ports));
        }
    }

    /// The addresses at which jumps lead to a port without one of its own; `None` where that is not limited.
    fn of(&mut self, chain: &'a str, port: &HostPort) -> Option<At> {
        let jumps = self
            .by_chain
            .get(chain)
            .filter(|_| port.address.is_none())?;
        let has =
            |(protocol, range): &Ports| *protocol == port.protocol && range.contains(&port.number);
        let jumps = jumps.iter().enumerate();
        let jumps = jumps.filter(|(_, (_, ports))| ports.iter().any(has));
        let (places, at): (Vec<usize>, Vec<Prefix>) = jumps.map(|(n, (at, _))| (n, *at)).unzip();
        let known = self.known.entry((chain, places));
        Some(known.or_insert_with(|| At::of(&at)).clone())
    }
}

/// The forwards of a chain by what jumps test.
type ByPort = BTreeMap<(Protocol, u16), Vec<Row>>;

fn by_port(rules: &[Counted], backend: &'static str) -> ByPort {
    let mut chain = ByPort::new();
    for row in translated(rules, backend) {
        let HostPort {
            protocol, number, ..
        } = row.forward.port;
        chain.entry((protocol, number)).or_default().push(row);
    }
    chain
}

/// Takes out what a jump leads to; with limits, ports of all addresses on some of them.
fn reached(chain: &mut ByPort, reach: &Reach<'_>, is_limited: bool) -> Vec<Row> {
    let mut all = Vec::new();
    for (protocol, ports) in reach.ports() {
        let keys = chain.range((protocol, *ports.start())..=(protocol, *ports.end()));
        let keys: Vec<_> = keys.map(|(key, _)| *key).collect();
        for key in keys {
            let forwards = chain.remove(&key).unwrap_or_default();
            let meets = |row: &Row| match (reach.at, row.forward.port.address) {
                (None, _) => true,
                (Some(at), Some(addr)) => at.has(addr),
                (Some(_), None) => is_limited,
            };
            let (taken, left): (Vec<_>, Vec<_>) = forwards.into_iter().partition(meets);
            all.extend(taken);
            if !left.is_empty() {
                chain.insert(key, left);
            }
        }
    }
    all
}

/// The forwards of one chain, as yet without an owner.
fn translated(rules: &[Counted], backend: &'static str) -> impl Iterator<Item = Row> {
    let texts: Vec<String> = rules.iter().map(|(rule, _)| rule.clone()).collect();
    let entry = owner::entry_in(&texts);
    rules.iter().flat_map(move |(rule, counters)| {
        let entry = entry.clone();
        // The ports of a range are counted together, which the first one shows.
        let counters = std::iter::once(Some(*counters)).chain(std::iter::repeat(None));
        let read = of_rule(rule).into_iter().zip(counters);
        read.map(move |(forward, counters)| Row {
            forward,
            owner: Attachment::default(),
            entry: entry.clone(),
            backend,
            counters,
            limits: None,
            is_conditional: false,
            is_reached: false,
        })
    })
}

/// `[PACKETS:BYTES] -A CHAIN RULE`, as `iptables-save -c` prints rules.
fn chains(text: &str) -> Chains {
    let mut chains = Chains::new();
    let line = |line: &str| {
        let (counters, rest) = line.strip_prefix('[')?.split_once("] -A ")?;
        let (packets, bytes) = counters.split_once(':')?;
        let counters = Counters {
            packets: packets.parse().ok()?,
            bytes: bytes.parse().ok()?,
        };
        let (chain, rule) = rest.split_once(' ')?;
        Some((chain.to_owned(), (rule.to_owned(), counters)))
    };
    for (chain, counted) in text.lines().filter_map(line) {
        chains.entry(chain).or_default().push(counted);
    }
    chains
}

/// `dnat name: "NETWORK" id: "CONTAINER"`, perhaps with ` if: "IFNAME"`, perhaps shortened.
fn attachment(comment: &str) -> Attachment {
    let quoted = |before: &str| {
        let (_, rest) = comment.split_once(before)?;
        Some(rest.split('"').next().unwrap_or(rest).to_owned())
    };
    Attachment {
        network: quoted("name: \"").unwrap_or_default(),
        container: quoted("id: \"").unwrap_or_default(),
        ifname: quoted("if: \"").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LED: &str = "[9:9] -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n";
    const SAVE: &str = r#"*nat
:CNI-HOSTPORT-DNAT - [0:0]
[7:420] -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"n\" id: \"a\"" -m multiport --dports 80 -j CNI-DN-a
[0:0] -A CNI-HOSTPORT-DNAT -s 10.0.0.0/8 -p tcp -m comment --comment "dnat name: \"n\" id: \"b\" if: \"x\"" -m multiport --dports 80 -j CNI-DN-b
[0:0] -A CNI-DN-a -s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK
[5:300] -A CNI-DN-a -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.22.0.2:8080
[0:0] -A CNI-DN-b -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.22.0.3:80
[1:2] -A CNI-DN-c -d 192.0.2.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.22.0.4:53
COMMIT
"#;

    #[test]
    fn a_counted_save_gives_forwards_with_their_owners() {
        let none = forwards(chains(SAVE), "iptables-nft");
        assert!(none.iter().all(|forward| !forward.is_reached));
        let all = forwards(chains(&[LED, SAVE].concat()), "iptables-nft");
        let told: Vec<_> = all
            .iter()
            .map(|f| {
                (
                    f.owner.container.as_str(),
                    f.owner.ifname.as_str(),
                    f.forward.port.number,
                )
            })
            .collect();
        assert_eq!(told, [("a", "", 80), ("b", "x", 80), ("", "", 53)]);
        let counted = Counters {
            packets: 5,
            bytes: 300,
        };
        assert_eq!(all[0].counters, Some(counted));
        assert!(!all[0].is_conditional && all[1].is_conditional);
        assert!(all[1].is_reached && !all[2].is_reached);
        assert_eq!(
            all[2].forward.port.address,
            Some("192.0.2.1".parse().unwrap())
        );
    }

    #[test]
    fn a_port_that_is_limited_to_addresses_is_one_row_with_them() {
        let limited = r#"[0:0] -A CNI-HOSTPORT-DNAT -d 10.99.0.0/25 -p tcp -m comment --comment "dnat name: \"n\" id: \"a\"" -m multiport --dports 80 -j CNI-DN-a
[0:0] -A CNI-HOSTPORT-DNAT -d 10.99.0.129/32 -p tcp -m comment --comment "dnat name: \"n\" id: \"a\"" -m multiport --dports 80 -j CNI-DN-a
[0:0] -A CNI-DN-a -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.22.0.2:8080
"#;
        let all = forwards(chains(&[LED, limited].concat()), "iptables-nft");
        let [one] = all.as_slice() else {
            panic!("{all:?}");
        };
        assert!(one.is_reached && !one.is_conditional);
        let limits = one.limits.as_ref().map(At::to_string);
        assert_eq!(limits.as_deref(), Some("10.99.0.0/25, 10.99.0.129"));
        assert!(one.is_on("10.99.0.1".parse().unwrap()));
        assert!(!one.is_on("10.99.0.128".parse().unwrap()));
        assert_eq!(one.owner.container, "a");
    }

    #[test]
    fn nonsense_is_left_out() {
        for text in ["", "[", "[1:2] -A", "[x:y] -A a b", "[1:2] -A a"] {
            assert!(forwards(chains(text), "iptables-nft").is_empty(), "{text}");
        }
    }
}
