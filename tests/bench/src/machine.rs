//! What the figures were taken on, and with.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::scenario::Side;

/// Names and values, for people.
///
/// # Errors
/// When /proc cannot be read.
pub fn facts() -> io::Result<Vec<(&'static str, String)>> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let count = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = field(&cpu, "model name").unwrap_or("of unknown model");
    let kib: u64 = field(&memory, "MemTotal")
        .and_then(|text| text.split(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    let is_guest = field(&cpu, "flags").is_some_and(|flags| flags.contains(" hypervisor"));
    let kind = if is_guest { "virtual" } else { "physical" };
    Ok(vec![
        (
            "machine",
            format!("{kind}, {count} cores {model}, {} GiB of memory", kib >> 20),
        ),
        (
            "kernel",
            format!(
                "Linux {}",
                release.trim().split('-').next().unwrap_or_default()
            ),
        ),
        ("build", build()),
        (
            "reference",
            said(
                "dpkg-query",
                &[
                    "-W",
                    "-f",
                    "Debian's ${Package} ${Version}",
                    "containernetworking-plugins",
                ],
            ),
        ),
        ("iptables", said("iptables", &["--version"])),
        ("nft", said("nft", &["--version"])),
    ])
}

/// The value of a line `NAME : VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(one, _)| one.trim() == name)?;
    Some(found.1.trim())
}

fn build() -> String {
    let program = Side::Ours.program("portmap").display().to_string();
    let library = if program.contains("release-build") {
        "the release, musl"
    } else {
        "as cargo builds it, not the release"
    };
    let revision = said(
        "git",
        &[
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
        ],
    );
    format!("{library}, {revision}, {}", said("rustc", &["--version"]))
}

/// What a program prints; that it is not there, if so.
fn said(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => format!("{program} says nothing"),
    }
}

/// The size of each plugin in bytes: ours, the reference's.
///
/// # Errors
/// When a file is not there.
pub fn sizes() -> io::Result<Vec<(&'static str, u64, u64)>> {
    let size = |path: &Path| {
        let found = fs::metadata(path).map(|file| file.len());
        found.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    };
    ["tuning", "portmap", "bandwidth"]
        .into_iter()
        .map(|name| {
            let [ours, reference] =
                [Side::Ours, Side::Reference].map(|side| size(&side.program(name)));
            Ok((name, ours?, reference?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_what_follows_its_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "flags"), None);
    }
}
