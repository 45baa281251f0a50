//! What is read from the kernel against what iptables prints, in namespaces.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use common::result::Prefix;
use common::{Attachment, Protocol};
use nft::object::Base;
use nft::socket::{Nft, Outcome};
use sandbox::Namespace;
use xtables::meaning::Meaning;
use xtables::nf_tables::{self, Seen, batch};
use xtables::transaction::Transaction;

use super::super::many::apply;
use super::super::rules::{DNAT, GUARD, MASQ, SETMARK, wanted};
use super::super::write;
use super::*;
use crate::config::Evidence;
use crate::host_port::{Forward, HostPort};
use crate::options::{Mark, Masquerade};
use crate::plan::Forwards;

const VARIANTS: [&str; 2] = ["nft", "legacy"];

fn seen(family: Family, chains: &[(Table, &str)]) -> State {
    let mut nft = Nft::open().unwrap();
    let seen = Seen::chains(&mut nft, family, chains, &Concern::default());
    seen.unwrap().state
}

/// Every kind of rule that attachments have, and those of others that are often beside them.
fn rules(family: Family) -> String {
    let (container, network, loopback) = match family {
        Family::V4 => ("10.22.0.2:80", "10.22.0.0/16", "127.0.0.0/8"),
        Family::V6 => ("[fd00:22::2]:80", "fd00:22::/64", "::1/128"),
    };
    let host = if family == Family::V4 {
        "192.0.2.7"
    } else {
        "2001:db8::7"
    };
    format!(
        "*nat
-N {DNAT}
-N {SETMARK}
-N {MASQ}
-N CNI-DN-x
-N KUBE-SERVICES
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j {DNAT}
-A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j KUBE-SERVICES
-A OUTPUT -m addrtype --dst-type LOCAL -j {DNAT}
-A POSTROUTING -m comment --comment \"CNI portfwd requiring masquerade\" -j {MASQ}
-A POSTROUTING -s {network} ! -o veth0 -j MASQUERADE
-A {SETMARK} -m comment --comment \"CNI portfwd masquerade mark\" -j MARK --set-xmark 0x2000/0x2000
-A {MASQ} -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-DN-x -s {network} -p tcp -m tcp --dport 8080 -j {SETMARK}
-A CNI-DN-x -p tcp -m tcp --dport 8080 -j DNAT --to-destination {container}
-A CNI-DN-x -d {host} -p udp -m udp --dport 53 -j DNAT --to-destination {container}
-A CNI-DN-x -p sctp -m sctp --dport 9 -j DNAT --to-destination {container}
-A {DNAT} -p tcp -m comment --comment \"dnat name: \\\"net\\\" id: \\\"x\\\"\" -m multiport --dports 8080,8081 -j CNI-DN-x
COMMIT
*mangle
-N {GUARD}
-A PREROUTING -d {loopback} ! -i lo -j {GUARD}
-A PREROUTING -s {loopback} ! -i lo -j {GUARD}
-A {GUARD} -m comment --comment \"CNI portfwd guard of loopback addresses\" -j DROP
-A INPUT -m conntrack ! --ctstate DNAT -j RETURN
COMMIT
"
    )
}

fn program(family: Family, variant: &str, end: &str) -> String {
    let base = if family == Family::V4 {
        "iptables"
    } else {
        "ip6tables"
    };
    format!("{base}-{variant}-{end}")
}

fn restore(host: &Namespace, family: Family, variant: &str, text: &str) {
    let mut command: Command = host.command(program(family, variant, "restore"));
    let mut child = command
        .arg("--noflush")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

fn printed(host: &Namespace, family: Family, variant: &str) -> State {
    let mut state = State::default();
    for table in [Table::Nat, Table::Mangle] {
        let save = program(family, variant, "save");
        state.merge(State::from_save(&host.sh([&save, "-t", table.name()])));
    }
    state
}

fn meanings(rules: &[String]) -> Vec<Meaning> {
    rules.iter().map(|rule| Meaning::of(rule)).collect()
}

fn chains() -> Vec<(Table, &'static str)> {
    let nat = ["PREROUTING", "OUTPUT", "POSTROUTING", DNAT, SETMARK, MASQ];
    let mut chains: Vec<_> = nat.map(|chain| (Table::Nat, chain)).to_vec();
    chains.extend([
        (Table::Mangle, "INPUT"),
        (Table::Mangle, "PREROUTING"),
        (Table::Mangle, GUARD),
    ]);
    chains
}

#[test]
fn shared_chains_are_read_as_iptables_prints_them() {
    for family in Family::ALL {
        for name in VARIANTS {
            let host = Namespace::new().unwrap();
            restore(&host, family, name, &rules(family));
            let seen = host.run(|| match name {
                "nft" => seen(family, &chains()),
                _ => {
                    let tables = [Table::Nat, Table::Mangle];
                    legacy::Tables::of(family, &tables)
                        .unwrap()
                        .beginnings(&chains(), usize::MAX)
                }
            });
            let printed = printed(&host, family, name);
            for (table, chain) in chains() {
                let (seen, all) = (&seen.table(table)[chain], &printed.table(table)[chain]);
                // Native expressions of newer iptables end what can be read of a chain.
                assert!(seen.len() <= all.len());
                assert_eq!(
                    meanings(seen),
                    meanings(&all[..seen.len()]),
                    "{name} {chain}"
                );
                let is_needed = ![DNAT, "POSTROUTING"].contains(&chain);
                assert!(
                    !is_needed || seen.len() == all.len(),
                    "{name} {family} {chain}"
                );
            }
            assert!(!seen.table(Table::Nat)["POSTROUTING"].is_empty());
        }
    }
}

#[test]
fn chains_are_read_to_their_ends_or_not_at_all() {
    let named = [
        (Table::Nat, "CNI-DN-x"),
        (Table::Nat, DNAT),
        (Table::Nat, "CNI-DN-y"),
    ];
    for family in Family::ALL {
        for name in VARIANTS {
            let host = Namespace::new().unwrap();
            restore(&host, family, name, &rules(family));
            let read = || {
                host.run(|| match name {
                    "nft" => Some(seen(family, &named)),
                    _ => {
                        let tables = legacy::Tables::of(family, &[Table::Nat]);
                        tables.unwrap().read(&named)
                    }
                })
            };
            let printed = printed(&host, family, name);
            let state = read().unwrap();
            for chain in ["CNI-DN-x", DNAT] {
                assert_eq!(
                    meanings(state.chain(chain).unwrap()),
                    meanings(printed.chain(chain).unwrap()),
                    "{name} {chain}"
                );
            }
            assert_eq!(state.chain("CNI-DN-y"), None);
            // A condition that only iptables can print.
            let jump = format!(
                "*nat\n-I {DNAT} -m statistic --mode random --probability 0.5 -j CNI-DN-x\nCOMMIT\n"
            );
            restore(&host, family, name, &jump);
            match read() {
                None => assert_eq!(name, "legacy"),
                Some(state) => {
                    let first = &state.rules(DNAT)[0];
                    assert!(
                        first.starts_with("-m \"?") && first.ends_with("-j CNI-DN-x"),
                        "{first}"
                    );
                }
            }
        }
    }
}

#[test]
fn chains_are_found_in_either_variant_and_looking_makes_no_table() {
    for name in VARIANTS {
        let host = Namespace::new().unwrap();
        let found = || host.run(|| chains_of(name, &["CNI-DN-x", "CNI-DN-y"]));
        assert!(found().is_empty());
        let tables = host.run(|| fs::read_to_string("/proc/thread-self/net/ip_tables_names"));
        assert_eq!(tables.unwrap_or_default(), "");
        restore(&host, Family::V4, name, &rules(Family::V4));
        assert_eq!(found(), ["CNI-DN-x"]);
    }
}

fn chains_of(variant: &str, names: &[&str]) -> Vec<String> {
    let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    match variant {
        "nft" => {
            let mut nft = Nft::open().unwrap();
            let found = nf_tables::present(&mut nft, Family::V4, Table::Nat, names).unwrap();
            found.into_iter().map(str::to_owned).collect()
        }
        _ => super::chains(Family::V4, &owned).unwrap(),
    }
}

/// Every kind of rule that an attachment can have, as ADD makes them on a node that has none.
fn made(family: Family) -> Vec<Transaction> {
    let container = match family {
        Family::V4 => "10.22.0.2/32",
        Family::V6 => "fd00:22::2/128",
    };
    let host_ip = match family {
        Family::V4 => "192.0.2.7",
        Family::V6 => "2001:db8::7",
    };
    let port = |protocol, address: Option<&str>, number| Forward {
        port: HostPort {
            protocol,
            address: address.map(|text| text.parse().unwrap()),
            within: None,
            number,
        },
        to: SocketAddr::new(Prefix::from_text(container).unwrap().addr, 80),
    };
    let ports = vec![
        port(Protocol::Tcp, None, 8080),
        port(Protocol::Tcp, None, 65535),
        port(Protocol::Udp, Some(host_ip), 53),
        port(Protocol::Sctp, None, 9),
    ];
    let listed = ports.iter().map(|one| (one.port.protocol, one.port.number));
    let of = |ifname: &str, masquerade, length: u8| {
        let attachment = Attachment {
            network: "net".into(),
            container: "c".repeat(64),
            ifname: ifname.into(),
        };
        let Prefix { addr, len: _ } = Prefix::from_text(container).unwrap();
        let container = Prefix { addr, len: length };
        let forwards = Forwards {
            family,
            container,
            conditions: vec![],
            ports: ports.clone(),
            only: None,
            listed: listed.clone().collect(),
        };
        wanted(&attachment, masquerade, &Mark::Bit(13), &forwards)
    };
    let bits = family.bits();
    let all = [
        of("eth0", Masquerade::Needed, bits / 2),
        of("net1", Masquerade::Needed, bits / 2 + 3),
        of("net2", Masquerade::All, 0),
        of("net3", Masquerade::Nothing, bits),
    ];
    let mut state = State::default();
    let repair = |wanted: &Wanted| {
        let transaction = write::repair(&state, wanted, &Evidence::default());
        apply(&mut state, &transaction);
        transaction
    };
    all.iter().map(repair).collect()
}

/// Chains as the kernel meets them, and rules as it has them, except for what they counted.
fn everything(family: Family) -> Vec<(String, Option<Base>, Vec<Vec<u8>>)> {
    let mut nft = Nft::open().unwrap();
    let seen = Seen::whole(&mut nft, family, &Table::ALL).unwrap();
    let mut all = Vec::new();
    for table in Table::ALL {
        for name in seen.state.table(table).keys() {
            let found = nft
                .chains(nf_tables::place(family, table), &[name])
                .unwrap();
            let base = found.into_iter().flatten().next().unwrap().base;
            let rules = seen.rules(table, name).iter();
            let rules = rules.map(|rule| rule.expressions.clone()).collect();
            all.push((format!("{table:?} {name}"), base, rules));
        }
    }
    all
}

#[test]
fn rules_are_written_as_iptables_writes_them() {
    for family in Family::ALL {
        let (theirs, ours) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        for transaction in made(family) {
            restore(&theirs, family, "nft", &transaction.text());
            ours.run(|| {
                let mut nft = Nft::open().unwrap();
                let generation = nft.generation().unwrap();
                let mut seen = Seen::whole(&mut nft, family, &Table::ALL).unwrap();
                let commands = batch::commands(&mut seen, &transaction).unwrap();
                let outcome = nft.commit(generation, &commands).unwrap();
                assert_eq!(outcome, Outcome::Done);
            });
        }
        let (expected, found) = (
            theirs.run(|| everything(family)),
            ours.run(|| everything(family)),
        );
        assert!(expected.iter().any(|(_, base, _)| base.is_some()));
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected, found);
        }
        assert_eq!(expected.len(), found.len());
        let save = |host| {
            let save = program(family, "nft", "save");
            Table::ALL.map(|table| host_lines(host, &save, table.name()))
        };
        assert_eq!(save(&theirs), save(&ours));
        // What iptables is to find and to delete by its words, it finds.
        for transaction in made(family) {
            let text = transaction.text();
            let deleted = text.lines().filter_map(|line| {
                let rule = line.strip_prefix("-A ").or(line.strip_prefix("-I "));
                // Of an insertion, the place says nothing of the rule.
                let rule = rule.map(|rule| {
                    let words: Vec<&str> = rule.splitn(3, ' ').collect();
                    match words.as_slice() {
                        [chain, place, rest] if place.parse::<usize>().is_ok() => {
                            format!("{chain} {rest}")
                        }
                        _ => rule.to_owned(),
                    }
                });
                match rule {
                    Some(rule) => Some(format!("-C {rule}\n-D {rule}\n")),
                    None => (!line.starts_with('-')).then(|| format!("{line}\n")),
                }
            });
            restore(&ours, family, "nft", &deleted.collect::<String>());
        }
        let left = ours.run(|| everything(family));
        assert!(
            left.iter().all(|(_, _, rules)| rules.is_empty()),
            "{left:?}"
        );
    }
}

fn host_lines(host: &Namespace, save: &str, table: &str) -> Vec<String> {
    let text = host.sh([save, "-t", table]);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}
