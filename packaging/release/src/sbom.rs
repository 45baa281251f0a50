//! The software bill of materials: CycloneDX 1.5, JSON (<https://cyclonedx.org/docs/1.5/json/>).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::crates::Crate;

/// What is in the binaries beside crates, and its versions.
#[derive(Debug, Clone, Copy)]
pub struct Toolchain<'a> {
    /// Of the compiler and its standard library, as `rustc --version` prints it
    /// after its name.
    pub rust: &'a str,
    /// Of the C library that is linked statically: `1.2.5`.
    pub musl: &'a str,
}

/// The document. Crates that only ran at build time have the scope `excluded`. It holds no time and
/// no random serial number: the same sources give the same bytes.
pub fn document(
    crates: &[&Crate],
    linked: &BTreeSet<(String, String)>,
    target: &str,
    toolchain: &Toolchain<'_>,
) -> Value {
    let (own, others): (Vec<&Crate>, Vec<&Crate>) =
        crates.iter().partition(|one| one.source.is_none());
    let version = own.first().map_or("", |one| one.version.as_str());
    let mut components: Vec<Value> = own.iter().map(|one| own_component(one)).collect();
    components.extend(
        others
            .iter()
            .map(|one| component(one, linked.contains(&one.id()))),
    );
    components.push(library("rust-std", toolchain.rust, "MIT OR Apache-2.0"));
    components.push(library("musl", toolchain.musl, "MIT"));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "cni-meta-plugins",
                "name": "cni-meta-plugins",
                "version": version,
                "licenses": [{ "expression": "Apache-2.0" }],
                "properties": [{ "name": "target", "value": target }],
            },
        },
        "components": components,
    })
}

fn own_component(one: &Crate) -> Value {
    let released = crate::RELEASED.contains(&one.name.as_str());
    json!({
        "type": if released { "application" } else { "library" },
        "bom-ref": format!("{}@{}", one.name, one.version),
        "name": one.name,
        "version": one.version,
        "scope": "required",
        "licenses": [{ "expression": one.licence }],
    })
}

fn component(one: &Crate, linked: bool) -> Value {
    let purl = format!("pkg:cargo/{}@{}", one.name, one.version);
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": one.name,
        "version": one.version,
        "scope": if linked { "required" } else { "excluded" },
        "licenses": [{ "expression": one.licence.replace('/', " OR ") }],
        "purl": purl,
    });
    if let Some(sum) = &one.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    if let Some(url) = &one.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": url }]);
    }
    component
}

fn library(name: &str, version: &str, licence: &str) -> Value {
    json!({
        "type": "library",
        "bom-ref": name,
        "name": name,
        "version": version,
        "scope": "required",
        "licenses": [{ "expression": licence }],
    })
}
