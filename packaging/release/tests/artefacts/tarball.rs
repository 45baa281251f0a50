//! The tarball, its checksums and the bill of materials.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::archive::{self, Member};
use crate::{ARCH, LARGEST, PLUGINS, VERSION, elf, made, output};

fn name(suffix: &str) -> String {
    format!("cni-plugins-linux-{ARCH}-v{VERSION}.{suffix}")
}

fn members() -> Vec<Member> {
    let path = made(&name("tgz"));
    archive::members(&output("gzip", &["-dc", path.to_str().unwrap()]))
}

#[test]
fn the_tarball_has_the_plugins_at_top_level_and_what_must_go_with_them() {
    let members = members();
    let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
    let schemas = crate::schemas();
    let others = [
        "./",
        "./LICENSE",
        "./README.md",
        "./THIRD-PARTY",
        "./bandwidth",
        "./cni-bandwidth.8",
        "./cni-portmap.8",
        "./cni-tuning.8",
        "./cnictl",
        "./cnictl.8",
        "./portmap",
        "./tuning",
    ];
    let schemas = schemas.iter().map(|name| format!("./{name}"));
    let mut expected: Vec<String> = others
        .map(str::to_owned)
        .into_iter()
        .chain(schemas)
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    archive::assert_plain(&members);
    for member in &members {
        let name = &member.name[2..];
        let plugin = PLUGINS.contains(&name);
        let executable = plugin || name == "cnictl" || member.kind == '5';
        assert_eq!(
            member.mode,
            if executable { 0o755 } else { 0o644 },
            "{}",
            member.name
        );
        if executable && member.kind == '0' {
            elf::assert_static(&member.name, &member.bytes);
        }
        if plugin {
            assert!(
                member.bytes.len() < LARGEST,
                "{}: {}",
                member.name,
                member.bytes.len()
            );
        }
    }
}

#[test]
fn the_plugins_of_the_tarball_run_and_say_their_version() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tarball");
    fs::create_dir_all(&dir).unwrap();
    let tarball = made(&name("tgz"));
    output(
        "tar",
        &[
            "-xzf",
            tarball.to_str().unwrap(),
            "-C",
            dir.to_str().unwrap(),
        ],
    );
    for plugin in PLUGINS {
        let about = Command::new(dir.join(plugin)).env_clear().output().unwrap();
        let about = String::from_utf8(about.stderr).unwrap();
        let expected = format!("CNI {plugin} plugin version {VERSION}\n");
        assert!(about.starts_with(&expected), "{about}");
    }
}

#[test]
fn the_checksums_are_those_of_the_files() {
    for file in [
        name("tgz"),
        format!("cni-meta-plugins_{VERSION}_{ARCH}.deb"),
    ] {
        for sum in ["sha1", "sha256", "sha512"] {
            let check = Command::new(format!("{sum}sum"))
                .args(["--check", "--strict", "--quiet"])
                .arg(format!("{file}.{sum}"))
                .current_dir(made(""))
                .status();
            assert!(check.unwrap().success(), "{file}.{sum}");
        }
    }
}

#[test]
fn the_bill_of_materials_is_for_this_machine_and_this_version() {
    let text = fs::read_to_string(made(&name("cdx.json"))).unwrap();
    let bill: Value = serde_json::from_str(&text).unwrap();
    let component = &bill["metadata"]["component"];
    assert_eq!(component["version"], VERSION);
    let target = component["properties"][0]["value"].as_str().unwrap();
    assert!(target.starts_with(std::env::consts::ARCH), "{target}");
    let components = bill["components"].as_array().unwrap();
    let musl = components.iter().find(|c| c["name"] == "musl").unwrap();
    assert!(musl["version"].as_str().unwrap().starts_with("1.2."));
}
