//! The crates of this workspace, as cargo sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

use serde_json::Value;

/// One package of the dependency tree.
#[derive(Debug, Clone)]
pub struct Crate {
    /// As in Cargo.toml.
    pub name: String,
    /// As in Cargo.toml.
    pub version: String,
    /// SPDX expression; empty where there is none.
    pub licence: String,
    /// The registry it is from; `None` for our own.
    pub source: Option<String>,
    /// Its home page for people, where it names one.
    pub repository: Option<String>,
    /// Where its sources are.
    pub dir: PathBuf,
    /// SHA-256 of the registry's archive, from Cargo.lock.
    pub checksum: Option<String>,
}

impl Crate {
    /// Name and version, as [`linked`] and [`built`] name it.
    pub fn id(&self) -> (String, String) {
        (self.name.clone(), self.version.clone())
    }
}

/// Every package of the workspace, by name and version.
///
/// # Errors
/// What cargo said; also when Cargo.lock does not fit the manifests.
pub fn all() -> io::Result<Vec<Crate>> {
    let text = cargo(&["metadata", "--locked", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let sums = checksums(&std::fs::read_to_string(
        PathBuf::from(root).join("Cargo.lock"),
    )?);
    let packages = metadata["packages"].as_array();
    let mut all: Vec<Crate> = packages
        .into_iter()
        .flatten()
        .map(|package| read(package, &sums))
        .collect();
    all.sort_by_key(Crate::id);
    Ok(all)
}

fn read(package: &Value, sums: &BTreeMap<(String, String), String>) -> Crate {
    let text = |key: &str| package[key].as_str().map(str::to_owned);
    let name = text("name").unwrap_or_default();
    let version = text("version").unwrap_or_default();
    let mut dir = PathBuf::from(text("manifest_path").unwrap_or_default());
    dir.pop();
    Crate {
        checksum: sums.get(&(name.clone(), version.clone())).cloned(),
        licence: text("license").unwrap_or_default(),
        source: text("source"),
        repository: text("repository"),
        name,
        version,
        dir,
    }
}

/// The checksum lines of a lock file; name and version stand above each.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut sums = BTreeMap::new();
    let (mut name, mut version) = (String::new(), String::new());
    for line in lock.lines() {
        match line.split_once(" = ") {
            Some(("name", value)) => name = value.trim_matches('"').to_owned(),
            Some(("version", value)) => version = value.trim_matches('"').to_owned(),
            Some(("checksum", value)) => {
                let id = (name.clone(), version.clone());
                sums.insert(id, value.trim_matches('"').to_owned());
            }
            _ => {}
        }
    }
    sums
}

/// Name and version of the crates whose code is in the released binaries for `target`.
///
/// # Errors
/// What cargo said.
pub fn linked(target: &str) -> io::Result<BTreeSet<(String, String)>> {
    tree(target, "normal,no-proc-macro")
}

/// Those, and the ones that only ran at build time: procedural macros and build scripts.
///
/// # Errors
/// What cargo said.
pub fn built(target: &str) -> io::Result<BTreeSet<(String, String)>> {
    tree(target, "normal,build")
}

/// `cargo tree`, because `cargo metadata` unites the features of the whole workspace, and would name
/// crates that only the tests need.
fn tree(target: &str, edges: &str) -> io::Result<BTreeSet<(String, String)>> {
    let mut arguments = vec!["tree", "--locked", "--prefix", "none", "--format", "{p}"];
    arguments.extend(["--target", target, "--edges", edges]);
    arguments.extend(crate::RELEASED.iter().flat_map(|name| ["-p", name]));
    let text = cargo(&arguments)?;
    let ids = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some((name.to_owned(), version.to_owned()))
    });
    Ok(ids.collect())
}

fn cargo(arguments: &[&str]) -> io::Result<String> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let first = arguments.first().copied().unwrap_or_default();
        return Err(io::Error::other(format!("cargo {first}: {told}")));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
