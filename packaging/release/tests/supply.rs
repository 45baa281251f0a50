//! Where the code of others comes from, and under which terms.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::Path;

use dist::sbom::Toolchain;
use dist::{crates, licence, notices, sbom};

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

#[test]
fn every_crate_has_an_allowed_licence() {
    for one in crates::all().unwrap() {
        assert!(
            licence::is_allowed(&one.licence),
            "{} {}: {:?}",
            one.name,
            one.version,
            one.licence
        );
    }
}

#[test]
fn every_crate_is_from_the_registry_and_pinned_by_a_checksum() {
    for one in crates::all().unwrap() {
        let Some(source) = &one.source else {
            continue;
        };
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        assert_eq!(source, registry, "{}", one.name);
        let sum = one.checksum.unwrap_or_default();
        assert_eq!(sum.len(), 64, "{}", one.name);
    }
}

#[test]
fn deny_toml_allows_the_same_licences() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("deny.toml")).unwrap();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("allow = "))
        .unwrap();
    assert_eq!(line, format!("{:?}", licence::ALLOWED));
}

#[test]
fn no_crate_is_in_the_binaries_twice() {
    for target in TARGETS {
        let linked = crates::linked(target).unwrap();
        let names: BTreeSet<_> = linked.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), linked.len(), "{linked:?}");
    }
}

#[test]
fn every_crate_in_the_binaries_comes_with_its_licence_text() {
    let (all, linked) = (crates::all().unwrap(), crates::linked(TARGETS[0]).unwrap());
    let parts: Vec<_> = all
        .iter()
        .filter(|one| linked.contains(&one.id()))
        .collect();
    let document = notices::document(&parts).unwrap();
    for one in parts.iter().filter(|one| one.source.is_some()) {
        let owner = format!("\n{} {} (", one.name, one.version);
        assert!(document.contains(&owner), "{owner}");
    }
    assert!(!document.contains("holds no licence text"));
}

#[test]
fn the_bill_of_materials_names_what_is_in_the_binaries_and_what_made_them() {
    let (all, built) = (crates::all().unwrap(), crates::built(TARGETS[0]).unwrap());
    let parts: Vec<_> = all.iter().filter(|one| built.contains(&one.id())).collect();
    let toolchain = Toolchain {
        rust: "1.91.0",
        musl: "1.2.5",
    };
    let linked = crates::linked(TARGETS[0]).unwrap();
    let bill = sbom::document(&parts, &linked, TARGETS[0], &toolchain);
    let components = bill["components"].as_array().unwrap();
    let scope = |name: &str| {
        let found = components.iter().find(|c| c["name"] == name);
        found.map(|c| c["scope"].as_str().unwrap().to_owned())
    };
    assert_eq!(scope("serde_json").as_deref(), Some("required"));
    assert_eq!(scope("portmap").as_deref(), Some("required"));
    assert_eq!(scope("musl").as_deref(), Some("required"));
    assert_eq!(scope("serde_derive").as_deref(), Some("excluded"));
    for of_the_tests in ["sandbox", "rtnetlink", "prost", "tests"] {
        assert_eq!(scope(of_the_tests), None, "{of_the_tests}");
    }
    let references: BTreeSet<_> = components.iter().map(|c| c["bom-ref"].as_str()).collect();
    assert_eq!(references.len(), components.len());
}
