//! The units of systemd: by `systemd-analyze verify` where it is installed they are read as systemd reads
//! them, without a running one.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::packaging;

#[test]
fn systemd_understands_every_unit_and_finds_what_they_name() {
    // A directory of units and a copy of what they start, so that nothing of this machine matters.
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    let mut units = Vec::new();
    for entry in fs::read_dir(packaging("systemd")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let copy = root.join(path.file_name().unwrap());
        fs::write(&copy, text.replace("/usr/local/bin/", "/bin/true ")).unwrap();
        units.push(copy);
    }
    assert_eq!(units.len(), 1);
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(&units)
        .output();
    let output = output.expect("systemd-analyze, of Debian's package systemd");
    let told = String::from_utf8_lossy(&output.stderr);
    let own: Vec<&str> = told.lines().filter(|line| line.contains("cni-")).collect();
    assert!(output.status.success() && own.is_empty(), "{told}");
}

#[test]
fn the_units_run_commands_that_the_tool_has() {
    for entry in fs::read_dir(packaging("systemd")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("ExecStart")) {
            let (_, command) = line.split_once('=').unwrap();
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(words[..2], ["/usr/local/bin/cnictl", "follow"], "{line}");
        }
    }
}
