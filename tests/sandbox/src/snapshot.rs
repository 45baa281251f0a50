//! The kernel's state in a namespace as plain data, and what differs between two such states.
//!
//! What changes by itself (counters, handles, indexes, life times) is left out, so that the states before
//! and after a plugin came and went are equal. Taking one changes nothing: the iptables tools list only tables
//! that are there, so that they create none, and a table that holds nothing but the built-in chains, which is what
//! a mere look by another program leaves, counts as absent.

use std::collections::BTreeMap;
use std::io;

use crate::namespace::Namespace;

mod firewall;
mod json;
mod network;
mod sysctl;
mod traffic_control;

/// The state of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Links by name.
    pub links: BTreeMap<String, Link>,
    /// Addresses but the link-local ones of IPv6: `10.22.0.2/16 dev eth0 scope global`.
    pub addresses: Vec<String>,
    /// Routes of all tables, but to link-local addresses, each as the JSON of `ip -j route`.
    pub routes: Vec<String>,
    /// Queueing disciplines, each as the JSON of `tc -j qdisc`.
    pub qdiscs: Vec<String>,
    /// Filters with their actions: device, parent, then the JSON of `tc -j filter`.
    pub filters: Vec<String>,
    /// Chains and rules of all tables and both variants:
    /// `iptables-nft nat -A CNI-HOSTPORT-DNAT …`, `ip6tables-legacy nat -N CNI-HOSTPORT-DNAT`.
    pub iptables: Vec<String>,
    /// What else is in nf_tables: family, table, kind, name, then the JSON of `nft -j list ruleset`.
    pub nft: Vec<String>,
    /// All readable sysctls below `net` that only an administrator changes; keys with slashes.
    pub sysctls: BTreeMap<String, String>,
}

/// A link's attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `veth`, `bridge`, `ifb`; empty for loopback.
    pub kind: String,
    /// Hardware address, as `ip` prints it.
    pub mac: String,
    /// In bytes.
    pub mtu: u64,
    /// Administratively up.
    pub up: bool,
    /// Promiscuous by flag; see `promiscuity` for who else wants it.
    pub promisc: bool,
    /// How many users want it promiscuous.
    pub promiscuity: u64,
    /// Receives all multicast, by flag.
    pub allmulti: bool,
    /// Transmit queue length, in packets.
    pub txqlen: u64,
    /// The bridge or bond it belongs to; empty without.
    pub master: String,
    /// `ip link set … alias`; empty without.
    pub alias: String,
}

impl Snapshot {
    /// Reads the state of a namespace.
    ///
    /// # Errors
    /// When one of `ip`, `tc`, `nft`, `iptables-nft` and its siblings is missing or fails.
    pub fn take(namespace: &Namespace) -> io::Result<Self> {
        Ok(Self {
            sysctls: namespace.run(sysctl::read),
            ..Self::take_without_sysctls(namespace)?
        })
    }

    /// The same without sysctls, which are the larger half of the work.
    ///
    /// # Errors
    /// As for [`Snapshot::take`].
    pub fn take_without_sysctls(namespace: &Namespace) -> io::Result<Self> {
        let (links, addresses) = network::links_and_addresses(namespace)?;
        let ruleset = firewall::ruleset(namespace)?;
        let iptables = firewall::iptables(namespace, &ruleset)?;
        let qdiscs = traffic_control::qdiscs(namespace)?;
        Ok(Self {
            filters: traffic_control::filters(namespace, &qdiscs)?,
            qdiscs: traffic_control::lines(&qdiscs),
            routes: network::routes(namespace)?,
            nft: firewall::others(&ruleset, &iptables),
            iptables: iptables.lines,
            sysctls: BTreeMap::new(),
            links,
            addresses,
        })
    }

    /// Links and sysctls alone.
    ///
    /// # Errors
    /// When `ip` is missing or fails.
    pub fn take_settings(namespace: &Namespace) -> io::Result<Self> {
        Ok(Self {
            links: Self::take_links(namespace)?,
            sysctls: namespace.run(sysctl::read),
            ..Self::default()
        })
    }

    /// Links alone, by name.
    ///
    /// # Errors
    /// When `ip` is missing or fails.
    pub fn take_links(namespace: &Namespace) -> io::Result<BTreeMap<String, Link>> {
        network::links_and_addresses(namespace).map(|(links, _)| links)
    }

    /// What is different in `later`, a line each: `link eth0: mtu 1500 → 1400`, `qdisc + {…}`, `nft - …`.
    #[must_use]
    pub fn diff(&self, later: &Self) -> Vec<String> {
        let Self {
            links,
            addresses,
            routes,
            qdiscs,
            filters,
            iptables,
            nft,
            sysctls,
        } = self;
        let mut lines = Vec::new();
        diff_links(links, &later.links, &mut lines);
        let lists = [
            ("address", addresses, &later.addresses),
            ("route", routes, &later.routes),
            ("qdisc", qdiscs, &later.qdiscs),
            ("filter", filters, &later.filters),
            ("iptables", iptables, &later.iptables),
            ("nft", nft, &later.nft),
        ];
        for (what, old, new) in lists {
            diff_lists(what, old, new, &mut lines);
        }
        for (key, old) in sysctls {
            // The sysctls of a link come and go with it, and that has been said.
            if let Some(new) = later.sysctls.get(key).filter(|new| *new != old) {
                lines.push(format!("sysctl {key}: {old} → {new}"));
            }
        }
        lines
    }
}

fn diff_links(old: &BTreeMap<String, Link>, new: &BTreeMap<String, Link>, lines: &mut Vec<String>) {
    for (name, link) in old {
        match new.get(name) {
            Some(other) => {
                let changes = link.fields().into_iter().zip(other.fields());
                for ((field, old), (_, new)) in changes.filter(|(old, new)| old != new) {
                    lines.push(format!("link {name}: {field} {old} → {new}"));
                }
            }
            None => lines.push(format!("link - {name}: {link:?}")),
        }
    }
    let added = new.iter().filter(|(name, _)| !old.contains_key(*name));
    lines.extend(added.map(|(name, link)| format!("link + {name}: {link:?}")));
}

impl Link {
    fn fields(&self) -> [(&'static str, String); 10] {
        let Self {
            kind,
            mac,
            mtu,
            up,
            promisc,
            promiscuity,
            allmulti,
            txqlen,
            master,
            alias,
        } = self;
        [
            ("kind", kind.clone()),
            ("mac", mac.clone()),
            ("mtu", mtu.to_string()),
            ("up", up.to_string()),
            ("promisc", promisc.to_string()),
            ("promiscuity", promiscuity.to_string()),
            ("allmulti", allmulti.to_string()),
            ("txqlen", txqlen.to_string()),
            ("master", format!("{master:?}")),
            ("alias", format!("{alias:?}")),
        ]
    }
}

/// Lines gone and come, as often as they are; when there are none, the order counts.
fn diff_lists(what: &str, old: &[String], new: &[String], lines: &mut Vec<String>) {
    let before = lines.len();
    let only_in = |some: &[String], others: &[String]| {
        let mut others = others.to_vec();
        let mut extra = some.to_vec();
        extra.retain(|line| match others.iter().position(|other| other == line) {
            Some(place) => {
                others.swap_remove(place);
                false
            }
            None => true,
        });
        extra
    };
    lines.extend(
        only_in(old, new)
            .iter()
            .map(|line| format!("{what} - {line}")),
    );
    lines.extend(
        only_in(new, old)
            .iter()
            .map(|line| format!("{what} + {line}")),
    );
    if lines.len() == before {
        let moved = old.iter().zip(new).find(|(old, new)| old != new);
        lines
            .extend(moved.map(|(old, new)| format!("{what} order: {new} now stands before {old}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(old: &[&str], new: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut lines = Vec::new();
        diff_lists("x", &owned(old), &owned(new), &mut lines);
        lines
    }

    #[test]
    fn lists_differ_by_what_is_gone_what_came_and_by_order() {
        assert!(lists(&["a", "b"], &["a", "b"]).is_empty());
        assert_eq!(lists(&["a", "b"], &["b", "c"]), ["x - a", "x + c"]);
        assert_eq!(lists(&["a"], &["a", "a"]), ["x + a"]);
        assert_eq!(
            lists(&["a", "b"], &["b", "a"]),
            ["x order: b now stands before a"]
        );
    }
}
