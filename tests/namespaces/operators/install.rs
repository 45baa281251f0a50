//! `install` and `uninstall`, as unpacked and as in the image, on one directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandbox::executable;
use sandbox::plugin::binary;

use super::place::{Backend, Place};

/// What it is remembered in.
const STATE: &str = ".cni-meta-plugins";

fn run(program: &Path, line: &[&str]) -> Output {
    Command::new(program)
        .args(line)
        .env_remove("CNI_COMMAND")
        .output()
        .unwrap()
}

fn ok(program: &Path, line: &[&str]) {
    let output = run(program, line);
    assert!(output.status.success(), "{output:?}");
}

fn tool() -> PathBuf {
    binary("cnictl")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A directory of plugins.
fn directory(place: &Place) -> (PathBuf, String) {
    let dir = place.directory.join("bin");
    fs::create_dir(&dir).unwrap();
    (dir.clone(), dir.display().to_string())
}

#[test]
fn what_was_there_is_kept_and_comes_back() {
    let place = Place::new(Backend::Nftables, 1);
    let (dir, text) = directory(&place);
    let target = dir.join("tuning");
    fs::write(&target, "the old one").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).unwrap();
    for _ in 0..2 {
        ok(
            &tool(),
            &["install", &text, "--backup", "--plugin", "tuning"],
        );
        assert_eq!(names(&dir), [STATE, "tuning"]);
    }
    assert_eq!(
        fs::read(&target).unwrap(),
        fs::read(binary("tuning")).unwrap()
    );
    assert_eq!(
        fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    ok(&tool(), &["uninstall", &text, "--plugin", "tuning"]);
    assert_eq!(names(&dir), ["tuning"]);
    assert_eq!(fs::read_to_string(&target).unwrap(), "the old one");
    assert_eq!(
        fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
        0o700
    );
}

#[test]
fn without_a_backup_uninstall_removes_what_was_installed_and_no_other() {
    let place = Place::new(Backend::Nftables, 1);
    let (dir, text) = directory(&place);
    ok(&tool(), &["install", &text, "--plugin", "portmap"]);
    ok(&tool(), &["uninstall", &text]);
    assert!(names(&dir).is_empty());
    ok(&tool(), &["uninstall", &text, "--plugin", "portmap"]);
    fs::write(dir.join("portmap"), "somebody else's").unwrap();
    let output = run(&tool(), &["uninstall", &text, "--plugin", "portmap"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(names(&dir), ["portmap"]);
}

#[test]
fn a_directory_that_is_missing_is_refused() {
    let place = Place::new(Backend::Nftables, 1);
    let (dir, _) = directory(&place);
    let missing = dir.join("missing").display().to_string();
    for command in ["install", "uninstall"] {
        let output = run(&tool(), &[command, &missing]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}

/// The image: the tool, and the plugins in a directory beside it.
fn image(place: &Place) -> PathBuf {
    let image = place.directory.join("image");
    fs::create_dir_all(image.join("plugins")).unwrap();
    for name in ["bandwidth", "portmap", "tuning"] {
        executable::copy(&binary(name), &image.join("plugins").join(name)).unwrap();
    }
    executable::copy(&tool(), &image.join("cnictl")).unwrap();
    image.join("cnictl")
}

#[test]
fn what_the_image_put_there_the_tarball_takes_out_and_the_other_way_round() {
    let place = Place::new(Backend::Nftables, 1);
    let (dir, text) = directory(&place);
    let of_image = image(&place);
    for name in ["portmap", "tuning"] {
        fs::write(dir.join(name), "the old one").unwrap();
    }
    ok(&of_image, &["install", &text, "--backup"]);
    ok(&tool(), &["uninstall", &text, "--plugin", "portmap"]);
    assert_eq!(fs::read(dir.join("portmap")).unwrap(), b"the old one");
    ok(
        &tool(),
        &["install", &text, "--backup", "--plugin", "portmap"],
    );
    ok(&of_image, &["uninstall", &text]);
    assert_eq!(names(&dir), ["portmap", "tuning"]);
    for name in ["portmap", "tuning"] {
        assert_eq!(fs::read(dir.join(name)).unwrap(), b"the old one");
    }
    // Once more, as after a restart of the node: nothing is left to do.
    ok(&of_image, &["uninstall", &text]);
}

#[test]
fn plugins_that_are_nowhere_are_asked_for() {
    let place = Place::new(Backend::Nftables, 1);
    let (dir, text) = directory(&place);
    let alone = place.directory.join("cnictl");
    executable::copy(&tool(), &alone).unwrap();
    let output = run(&alone, &["install", &text]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--from"), "{said}");
    let from = tool().with_file_name("").display().to_string();
    ok(&alone, &["install", &text, "--from", &from]);
    assert_eq!(names(&dir), [STATE, "bandwidth", "portmap", "tuning"]);
}

#[test]
fn what_somebody_put_over_it_since_is_left_alone_and_the_copy_stays() {
    let place = Place::new(Backend::Nftables, 1);
    let (dir, text) = directory(&place);
    fs::write(dir.join("tuning"), "the old one").unwrap();
    ok(
        &tool(),
        &["install", &text, "--backup", "--plugin", "tuning"],
    );
    fs::remove_file(dir.join("tuning")).unwrap();
    fs::write(dir.join("tuning"), "a newer one").unwrap();
    let output = run(&tool(), &["uninstall", &text, "--plugin", "tuning"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read(dir.join("tuning")).unwrap(), b"a newer one");
    let kept = dir.join(STATE).join("replaced/tuning");
    assert_eq!(fs::read(kept).unwrap(), b"the old one");
}
