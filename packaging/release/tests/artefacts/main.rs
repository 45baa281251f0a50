//! What `make dist` and `make image` made for this machine. Run by `make test-dist`, which makes them
//! first.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod archive;
mod elf;
mod image;
mod package;
mod tarball;

use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PLUGINS: [&str; 3] = ["bandwidth", "portmap", "tuning"];
/// The most that a plugin may have, in bytes.
const LARGEST: usize = 3 << 20;

/// As Debian and the reference's releases name it.
const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

/// A file in target/dist.
fn made(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/dist");
    path.join(name)
}

fn deb() -> PathBuf {
    made(&format!("cni-meta-plugins_{VERSION}_{ARCH}.deb"))
}

/// Runs a program that must succeed, and gives what it printed.
fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    output.stdout
}

/// The names of packaging/schemas.
fn schemas() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    assert!(names.len() > 3, "{names:?}");
    names
}
