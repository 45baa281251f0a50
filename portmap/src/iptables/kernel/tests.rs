//! What is read from the kernel against what iptables prints, in namespaces.

use std::io::Write;
use std::process::{Command, Stdio};

use sandbox::Namespace;

use super::super::meaning::Meaning;
use super::super::rules::{DNAT, GUARD, MASQ, SETMARK};
use super::*;
use std::fs;

const VARIANTS: [(Variant, &str); 2] = [(Variant::Nft, "nft"), (Variant::Legacy, "legacy")];

/// Every kind of rule that attachments have, and what often stands beside them.
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
-A INPUT -d {loopback} ! -i lo -j {GUARD}
-A {GUARD} -m comment --comment \"CNI portfwd guard of loopback addresses\" -m conntrack ! --ctstate DNAT -j DROP
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
    chains.extend([(Table::Mangle, "INPUT"), (Table::Mangle, GUARD)]);
    chains
}

#[test]
fn shared_chains_are_read_as_iptables_prints_them() {
    for family in Family::ALL {
        for (variant, name) in VARIANTS {
            let host = Namespace::new().unwrap();
            restore(&host, family, name, &rules(family));
            let seen = host.run(|| match variant {
                Variant::Nft => nft::glimpse(family, &[], &chains()).shared,
                Variant::Legacy => {
                    let tables = [Table::Nat, Table::Mangle];
                    legacy::Tables::of(family, &tables)
                        .unwrap()
                        .glimpse(&chains())
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
        for (variant, name) in VARIANTS {
            let host = Namespace::new().unwrap();
            restore(&host, family, name, &rules(family));
            let read = || host.run(|| read(variant, family, &named).unwrap());
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
            assert_eq!(read(), None);
        }
    }
}

#[test]
fn chains_are_found_in_either_variant_and_looking_makes_no_table() {
    let names = ["CNI-DN-x", "CNI-DN-y"].map(str::to_owned);
    for (variant, name) in VARIANTS {
        let host = Namespace::new().unwrap();
        assert!(host.run(|| chains_of(variant, &names)).is_empty());
        let tables = host.run(|| fs::read_to_string("/proc/thread-self/net/ip_tables_names"));
        assert_eq!(tables.unwrap_or_default(), "");
        restore(&host, Family::V4, name, &rules(Family::V4));
        assert_eq!(host.run(|| chains_of(variant, &names)), ["CNI-DN-x"]);
    }
}

fn chains_of(variant: Variant, names: &[String]) -> Vec<String> {
    super::chains(variant, Family::V4, names).unwrap()
}
