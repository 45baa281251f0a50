//! The tables as people see them, at 80 and at 160 columns: testdata/cnictl. `UPDATE=1` writes the files.

use std::path::Path;

use bandwidth::list::Limit;
use common::cache::{Cache, Entry};
use common::{Attachment, Protocol, base64};
use portmap::list::row::{Counters, Row};
use portmap::{Forward, HostPort};
use tuning::list::Change;

use super::{limits, ports, reconcile, sysctls};
use crate::cli::table::{LIMITS, PORTS, SYSCTLS};
use crate::mappings::Mapping;
use crate::missing::WayOut;
use crate::owners::Owners;
use crate::plugins::Plugin;
use crate::repair::{Difference, Outcome};
use crate::state::State;
use crate::table::{Page, Table};

/// The pods of a node: two of Kubernetes' and one that has no name beside its container's.
const PODS: [(&str, &str); 3] = [
    (
        "f3ebbdab6149a293a7772a74d5e29bee310facdb0daa132f007c2ac24ae1c6c4",
        "web-7d4b9c6f5-x2x9z",
    ),
    (
        "0c7a2b8f6149a293a7772a74d5e29bee310facdb0daa132f007c2ac24ae1c6c4",
        "prometheus-node-exporter-4fj2k",
    ),
    (
        "9d05f4016149a293a7772a74d5e29bee310facdb0daa132f007c2ac24ae1c6c4",
        "",
    ),
];

fn owner(pod: usize) -> Attachment {
    Attachment {
        network: "podnet".into(),
        container: PODS[pod].0.into(),
        ifname: "eth0".into(),
    }
}

/// The cache of the first pods.
fn cache(pods: usize) -> Cache {
    let entry = |(container, name): &(&str, &str)| {
        let args = match *name {
            "" => String::new(),
            name => format!(r#"["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME","{name}"]"#),
        };
        let config = base64::encode(b"{}");
        let text = format!(
            r#"{{"kind":"cniCacheV1","containerId":"{container}","config":"{config}",
            "ifName":"eth0","networkName":"podnet","cniArgs":[{args}]}}"#
        );
        let entry = Entry::parse(Path::new("/f"), text.as_bytes());
        entry.unwrap().unwrap()
    };
    Cache {
        exists: true,
        entries: PODS[..pods].iter().map(entry).collect(),
        faults: Vec::new(),
    }
}

/// Compares a table with its files.
#[track_caller]
fn is_as_in(name: &str, table: &Table) {
    for width in [80, 160] {
        let page = Page {
            width: Some(width),
            colour: false,
        };
        let text = table.text(page);
        let is_whole = name.ends_with("-verbose");
        let fits = text.lines().all(|line| line.chars().count() <= width);
        assert!(fits || is_whole, "{text}");
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cnictl");
        let file = dir.join(format!("{name}-{width}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, golden, "{}:\n{text}", file.display());
    }
}

/// Whether a table has every column by which it can be ordered.
fn has_columns(table: &Table, names: &[&str]) {
    let page = Page {
        width: None,
        colour: false,
    };
    let text = table.text(page);
    let titles: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    for name in names {
        assert!(titles.contains(&name.to_uppercase().as_str()), "{name}");
    }
}

fn mapping(pod: usize, host: &str, to: &str, backend: &'static str, state: State) -> Mapping {
    let (address, port) = host.rsplit_once(':').unwrap();
    Mapping {
        row: Row {
            forward: Forward {
                port: HostPort {
                    protocol: Protocol::Tcp,
                    address: address.parse().ok(),
                    within: None,
                    number: port.parse().unwrap(),
                },
                to: to.parse().unwrap(),
            },
            owner: owner(pod),
            backend,
            counters: (state == State::Active).then_some(Counters {
                packets: 1234,
                bytes: 98_765_432,
            }),
            entry: None,
            limits: None,
            is_conditional: false,
            is_reached: true,
        },
        state,
        current: None,
    }
}

fn mappings() -> [Mapping; 4] {
    let missing = || State::Missing(WayOut::Reconcile);
    [
        mapping(0, "*:8080", "10.22.0.2:80", "iptables-nft", State::Active),
        mapping(1, "*:9100", "10.22.0.3:9100", "iptables", missing()),
        mapping(
            1,
            "192.0.2.1:8080",
            "10.22.0.3:80",
            "iptables-nft",
            State::Shadowed("shop/web-7d4b9c6f5-x2x9z".into()),
        ),
        mapping(
            2,
            "*:8443",
            "10.22.0.4:443",
            "nftables",
            State::Stale("not in the runtime's cache"),
        ),
    ]
}

#[test]
fn ports_are_as_in_the_files() {
    let cache = cache(3);
    let owners = Owners::of(&cache);
    let all = mappings();
    let table = ports::table(&all, &owners);
    is_as_in("ports", &table);
    let mut watched = all.clone();
    watched[0].current = Some(17);
    let table = ports::table(&watched, &owners);
    has_columns(&table, &PORTS);
    is_as_in("ports-watch", &table);
    is_as_in("ports-pods", &ports::table(&all[..3], &owners));
    let nobody = Cache::default();
    is_as_in("ports-no-cache", &ports::table(&all, &Owners::of(&nobody)));
}

fn limit(pod: usize, direction: &'static str, state: State) -> limits::Row {
    let limit = Limit {
        owner: Some(owner(pod)),
        device: "bwp982e51adaad2".into(),
        link: Some("veth1f2e3d4c".into()),
        direction,
        rate: 10_000_000,
        burst: 16_000,
        queue: "fifo".into(),
        latency: 25_000,
        limit: 20_000,
        bytes: 123_456_789,
        packets: 99_999,
        drops: 12,
        overlimits: 3456,
        backlog: 0,
    };
    limits::Row {
        limit,
        current: None,
        owner: owner(pod),
        state,
    }
}

#[test]
fn limits_are_as_in_the_files() {
    let cache = cache(3);
    let missing = State::Missing(WayOut::Reconcile);
    let all = [
        limit(0, "egress", State::Active),
        limit(1, "ingress", missing),
        limit(2, "ingress", State::Active),
    ];
    let table = limits::table(&all, &Owners::of(&cache));
    is_as_in("limits", &table);
    let mut watched = all;
    watched[0].current = Some(9_700_000);
    let table = limits::table(&watched, &Owners::of(&cache));
    has_columns(&table, &LIMITS);
    is_as_in("limits-watch", &table);
}

#[test]
fn sysctls_are_as_in_the_files() {
    let cache = cache(3);
    let change = |pod: usize, what: &str, now: &str, wanted: Option<&str>| Change {
        owner: owner(pod),
        what: what.into(),
        before: Some("4096".into()),
        wanted: wanted.map(str::to_owned),
        now: Some(now.into()),
    };
    let missing = State::Missing(WayOut::Reconcile);
    let all = [
        sysctls::Row {
            change: change(0, "net/core/somaxconn", "500", None),
            state: State::Active,
        },
        sysctls::Row {
            change: change(1, "net/ipv4/conf/eth0/arp_announce", "0", Some("2")),
            state: missing,
        },
        sysctls::Row {
            change: change(2, "mtu", "1400", None),
            state: State::Active,
        },
    ];
    let table = sysctls::table(&all, &Owners::of(&cache));
    has_columns(&table, &SYSCTLS);
    is_as_in("sysctls", &table);
}

#[test]
fn what_was_repaired_is_as_in_the_files() {
    let cache = cache(3);
    let what = Difference {
        line: "8080/tcp, 8443/tcp: chain and 6 rules missing".into(),
        whole: "chain CNI-DN-1 of table nat (IPv4): expected present, found missing".into(),
    };
    let outcomes = [
        Outcome::Repaired(what.clone()),
        Outcome::Superseded,
        Outcome::Drifted(what),
    ];
    let rows: Vec<reconcile::Row<'_>> = cache
        .entries
        .iter()
        .zip(outcomes)
        .map(|(entry, outcome)| reconcile::Row {
            plugin: Plugin::Portmap,
            entry,
            outcome,
        })
        .collect();
    is_as_in("reconcile", &reconcile::table(&cache, &rows, false));
    is_as_in("reconcile-verbose", &reconcile::table(&cache, &rows, true));
}
