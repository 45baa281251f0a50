//! What the kernel has of our rules against what it has of the same rules by iptables-nft, of Debian 12 and of
//! Debian 13: the same expressions, byte for byte.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::sys::netlink::{DUMP, Netlink, attribute, each_attribute};
use sandbox::Namespace;

use super::node::{Backend, Host, mapping, mapping_on, request};

/// `NFNL_SUBSYS_NFTABLES` with `NFT_MSG_GETCHAIN` and `NFT_MSG_GETRULE`
/// (include/uapi/linux/netfilter/nf_tables.h, as the numbers below).
const GET_CHAIN: u16 = 10 << 8 | 4;
const GET_RULE: u16 = 10 << 8 | 7;
/// `NFTA_CHAIN_TABLE`, `_NAME`, `_HOOK`, `_POLICY`, `_TYPE` and `_FLAGS`.
const CHAIN: [u16; 6] = [1, 3, 4, 5, 7, 10];
/// `NFTA_RULE_TABLE`, `_CHAIN`, `_EXPRESSIONS` and `_USERDATA`.
const RULE: [u16; 4] = [1, 2, 4, 7];
const EXPRESSIONS: u16 = 4;

/// The families that iptables and ip6tables write.
const FAMILIES: [(u8, &str); 2] = [(2, "iptables"), (10, "ip6tables")];

/// An object's attributes of some kinds.
type Object = Vec<(u16, Vec<u8>)>;

fn list(host: &Namespace, kind: u16, family: u8, kept: &[u16]) -> Vec<Object> {
    let replies = host.run(|| {
        let mut netlink = Netlink::netfilter().unwrap();
        netlink
            .request_bytes(kind, DUMP, &[family, 0, 0, 0])
            .unwrap()
    });
    let object = |body: &[u8]| {
        let kept = kept.iter().filter_map(|kind| {
            let value = attribute(body.get(4..)?, *kind)?;
            Some((*kind, value.to_vec()))
        });
        kept.collect()
    };
    replies.iter().map(|reply| object(&reply.body)).collect()
}

/// Chain by chain, and in each in order.
fn rules(host: &Namespace, family: u8) -> Vec<Object> {
    let mut rules = list(host, GET_RULE, family, &RULE);
    rules.sort_by(|a, b| a[..2].cmp(&b[..2]));
    rules
}

/// What iptables 1.8.11 has otherwise than 1.8.9: addresses before interfaces and protocol, and the protocol of
/// IPv4 from the packet's header.
fn but_for_order_and_protocol(rules: &[Object]) -> Vec<Vec<Vec<u8>>> {
    let one = |element: &[u8]| match loads_protocol(element) {
        true => b"protocol".to_vec(),
        false => element.to_vec(),
    };
    let sorted = |rule: &Object| {
        let (_, all) = rule.iter().find(|(kind, _)| *kind == EXPRESSIONS).unwrap();
        let mut all: Vec<Vec<u8>> = each_attribute(all)
            .map(|(_, element)| one(element))
            .collect();
        all.sort();
        all.extend(rule[..2].iter().map(|(_, name)| name.clone()));
        all
    };
    rules.iter().map(sorted).collect()
}

/// Whether an expression is `meta l4proto` (`NFTA_META_KEY` is `NFT_META_L4PROTO`), or a payload's byte 9 of the
/// network header (`NFTA_PAYLOAD_BASE`, `_OFFSET` and `_LEN`).
fn loads_protocol(element: &[u8]) -> bool {
    let data = attribute(element, 2).unwrap_or(&[]);
    let number = |kind| {
        let value = attribute(data, kind)?.try_into().ok()?;
        Some(u32::from_be_bytes(value))
    };
    match attribute(element, 1) {
        Some(b"meta\0") => number(2) == Some(16),
        Some(b"payload\0") => [2, 3, 4].map(number) == [Some(1), Some(9), Some(1)],
        _ => false,
    }
}

fn feed(host: &Namespace, program: &Path, input: &str) {
    let mut child = host
        .command(program)
        .arg("--noflush")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut &stdin, input.as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{program:?} < {input}");
}

/// The programs of Debian 13, where `make debian13` puts them.
fn debian13() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debian13");
    let is_there = directory.join("complete").exists();
    assert!(is_there, "{directory:?}: run `make debian13`");
    directory.join("bin")
}

fn requests() -> Vec<String> {
    let all = [
        mapping("tcp", 8080, 80),
        mapping("udp", 8081, 81),
        mapping("sctp", 8082, 82),
        mapping_on("192.0.2.1", "tcp", 8083, 83),
        mapping_on("2001:db8::1", "udp", 8084, 84),
    ];
    let many: Vec<String> = (1000..1040).map(|port| mapping("tcp", port, 80)).collect();
    let all = all.join(",");
    let mut runs = vec![mapping("tcp", 8080, 80)];
    runs.extend((1000..1040).map(|port| mapping("tcp", port, port)));
    runs.extend((65_500..=65_535).map(|port| mapping("udp", port, port)));
    runs.extend((2000..2020).map(|port| mapping("sctp", port, port)));
    runs.extend((3000..3020).map(|port| mapping_on("192.0.2.1", "tcp", port, port + 1)));
    vec![
        request("", &runs.join(",")),
        request("", &all),
        request("", &many.join(",")),
        request(r#""masqAll":true,"markMasqBit":7,"#, &all),
        request(r#""snat":false,"#, &all),
        request(
            r#""conditionsV4":["-s","10.9.0.1,10.9.0.2"],"conditionsV6":["-i","eth+"],"#,
            &all,
        ),
        request(
            r#""conditionsV4":["-m","statistic","--mode","random","--probability","0.5","-m","limit","--limit","5/sec"],"#,
            &all,
        ),
    ]
}

/// Takes each saved rule away again.
fn deletions(saved: &str) -> String {
    let kept = saved.lines().filter(|line| !line.starts_with([':', '#']));
    kept.map(|line| format!("{}\n", line.replacen("-A ", "-D ", 1)))
        .collect()
}

#[test]
fn the_kernel_has_what_iptables_makes_of_the_same_rules() {
    let newer = debian13();
    for request in requests() {
        let host = Host::usual(Backend::IptablesNft);
        host.run("ADD", &request);
        let ours = &host.net.host;
        for (family, base) in FAMILIES {
            let saved = ours.try_sh(&[&format!("{base}-nft-save")]).unwrap();
            let restore = format!("{base}-nft-restore");
            let (chains, made) = (list(ours, GET_CHAIN, family, &CHAIN), rules(ours, family));
            assert!(!made.is_empty(), "{saved}");
            for directory in [Path::new("/usr/sbin"), &newer] {
                let theirs = Namespace::new().unwrap();
                feed(&theirs, &directory.join(&restore), &saved);
                // iptables makes a table with all chains that it can have.
                let all = list(&theirs, GET_CHAIN, family, &CHAIN);
                assert!(chains.iter().all(|chain| all.contains(chain)), "{all:?}");
                let wanted = rules(&theirs, family);
                if directory == newer {
                    let [made, wanted] =
                        [&made, &wanted].map(|all| but_for_order_and_protocol(all));
                    assert_eq!(made, wanted, "{saved}");
                } else {
                    assert_eq!(made, wanted, "{saved}");
                }
            }
            feed(ours, &newer.join(restore), &deletions(&saved));
            assert!(rules(ours, family).is_empty(), "{saved}");
        }
    }
}
