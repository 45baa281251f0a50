//! What the reference answers and writes, recorded, is what ours answers and writes.

use std::fs;
use std::path::PathBuf;

use super::node::{Backend, Host, on_both_variants, request};

on_both_variants!(
    the_recorded_requests_give_the_recorded_answers_and_tables,
    the_request_that_made_the_reference_panic_is_refused_and_del_still_works,
);

fn recorded() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/portmap"
    ))
}

fn the_recorded_requests_give_the_recorded_answers_and_tables(backend: Backend) {
    let mut seen = 0;
    for entry in fs::read_dir(recorded()).unwrap() {
        let sample = entry.unwrap().path();
        if sample.join("ADD.json").exists() {
            replay(backend, &sample);
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} recordings");
}

fn replay(backend: Backend, sample: &std::path::Path) {
    let host = Host::usual(backend);
    let read = |file: &str| fs::read_to_string(sample.join(file)).unwrap_or_default();
    let tables_are = |suffix: &str| {
        for base in ["iptables", "ip6tables"] {
            let recorded = read(&format!("{base}{suffix}.txt"));
            let standing = host.nat(base);
            let (want, have) = (rules(&recorded), rules(&standing));
            assert_eq!(have, want, "{} {base}{suffix}", sample.display());
        }
    };
    let answer = host.run("ADD", &read("ADD.json"));
    assert_eq!(answer.stdout, read("ADD.stdout"), "{}", sample.display());
    assert_eq!(answer.stderr, "", "{}", sample.display());
    tables_are("");
    if sample.join("CHECK.json").exists() {
        assert_eq!(host.run("CHECK", &read("CHECK.json")).stdout, "");
    }
    assert_eq!(host.run("DEL", &read("DEL.json")).stdout, "");
    tables_are(".afterDEL");
}

/// A table's chains and rules: a table that nobody used is not printed everywhere. The rule that names the entry
/// of a list is ours.
fn rules(table: &str) -> Vec<&str> {
    let is_entry =
        |line: &&str| line.contains(" --comment \"entry ") && line.ends_with(" -j RETURN");
    let is_built_in = |line: &&str| line.starts_with(':') && line.contains(" ACCEPT ");
    let markers = ["*nat", "COMMIT"];
    table
        .lines()
        .filter(|l| !is_built_in(l) && !markers.contains(l) && !is_entry(l))
        .collect()
}

fn the_request_that_made_the_reference_panic_is_refused_and_del_still_works(backend: Backend) {
    let host = Host::usual(backend);
    let good = request("", &super::node::mapping("tcp", 8080, 80));
    let (start, end) = good.split_once("\"ips\":[").unwrap();
    let bad = format!("{start}\"ips\":[null{}", &end[end.rfind("]}").unwrap()..]);
    let said = host.fails(&host.call("ADD", &bad), 6);
    assert!(said.contains("ips"), "{said}");
    host.is_clean();
    host.run("ADD", &good);
    host.run("DEL", &bad);
    host.is_clean();
}
