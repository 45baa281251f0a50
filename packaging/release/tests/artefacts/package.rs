//! The Debian package: what is in it, and what it does to the reference's package. dpkg installs into
//! directories of their own; the maintainer scripts run there by DPKG_ROOT.

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive;
use crate::{ARCH, PLUGINS, VERSION, deb, elf, output};

/// A file system with nothing but dpkg's database.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for file in ["status", "available", "diversions", "arch"] {
            fs::write(root.join("var/lib/dpkg").join(file), "").unwrap();
        }
        fs::write(root.join("var/lib/dpkg/arch"), format!("{ARCH}\n")).unwrap();
        Self(root)
    }

    fn dpkg(&self, arguments: &[&str]) {
        let root = format!("--root={}", self.0.display());
        let log = format!("--log={}", self.0.join("var/log/dpkg.log").display());
        let force = "--force-script-chrootless,not-root,unsafe-io,depends";
        output("dpkg", &[&[root.as_str(), &log, force], arguments].concat());
    }

    fn install(&self, package: &Path) {
        self.dpkg(&["--install", package.to_str().unwrap()]);
    }

    fn plugin(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join("usr/lib/cni").join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("usr/lib/cni")).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Whether the three plugins are ours, and those of the reference, where there is one, aside.
    fn assert_ours(&self, reference: Option<&str>) {
        for name in PLUGINS {
            elf::assert_static(name, &self.plugin(name));
            let aside = self.0.join(format!("usr/lib/cni/{name}.reference"));
            assert_eq!(fs::read_to_string(aside).ok().as_deref(), reference);
        }
    }

    fn assert_reference(&self, version: &str) {
        assert_eq!(self.names(), ["bandwidth", "bridge", "portmap", "tuning"]);
        for name in PLUGINS {
            assert_eq!(self.plugin(name), version.as_bytes());
        }
    }
}

/// A package with the reference's name and files, whose contents are its version.
fn reference(root: &str, version: &str) -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reference-{root}-{version}"));
    let _ = fs::remove_dir_all(&base);
    let (tree, made) = (base.join("tree"), base.join("reference.deb"));
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/lib/cni")).unwrap();
    for name in PLUGINS.iter().chain(&["bridge"]) {
        fs::write(tree.join("usr/lib/cni").join(name), version).unwrap();
    }
    let control = format!(
        "Package: containernetworking-plugins\nVersion: {version}\nArchitecture: {ARCH}\n\
         Maintainer: a test <test@example.invalid>\nDescription: stands in for the reference\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let paths = [tree.to_str().unwrap(), made.to_str().unwrap()];
    output(
        "dpkg-deb",
        &["--root-owner-group", "--build", paths[0], paths[1]],
    );
    made
}

const SHIPPED_UNITS: [&str; 1] = ["cni-follow.service"];

/// The pages of docs/man, and those of the tool and its commands.
fn manual_pages() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man");
    let entries = fs::read_dir(dir).into_iter().flatten();
    let written = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let commands = [
        "add",
        "check",
        "completions",
        "del",
        "doctor",
        "explain",
        "follow",
        "gc",
        "install",
        "limit",
        "limits",
        "lint",
        "metrics",
        "ports",
        "reconcile",
        "status",
        "sysctls",
        "uninstall",
        "version",
        "who",
    ];
    let made = commands.map(|command| format!("cnictl-{command}.8"));
    let names = written.chain(made).chain(["cnictl.8".to_owned()]);
    names
        .map(|name| format!("/usr/share/man/man8/{name}.gz"))
        .collect()
}

#[test]
fn the_package_s_units_and_completions_are_of_its_tool() {
    let package = deb();
    let tar = output("dpkg-deb", &["--fsys-tarfile", package.to_str().unwrap()]);
    for member in archive::members(&tar) {
        let text = String::from_utf8_lossy(&member.bytes);
        let is_page = member.name.ends_with(".gz");
        if member.name.ends_with(".service") {
            assert!(text.contains("ExecStart=/usr/sbin/cnictl follow"), "{text}");
            assert!(!text.contains("/usr/local/"), "{text}");
        } else if member.kind == '0' && member.name.contains("completions") && !is_page {
            assert!(text.contains("reconcile"), "{}: {text}", member.name);
        }
    }
}

#[test]
fn the_package_has_the_plugins_where_debian_has_the_reference() {
    let package = deb();
    let members = archive::members(&output(
        "dpkg-deb",
        &["--fsys-tarfile", package.to_str().unwrap()],
    ));
    archive::assert_plain(&members);
    let files: Vec<(&str, u64)> = members
        .iter()
        .filter(|m| m.kind == '0')
        .map(|m| (m.name.trim_start_matches('.'), m.mode))
        .collect();
    let bill =
        format!("/usr/share/doc/cni-meta-plugins/cni-plugins-linux-{ARCH}-v{VERSION}.cdx.json");
    let doc = "/usr/share/doc/cni-meta-plugins";
    let mut expected = vec![bill];
    expected.extend(["README.md", "changelog.gz", "copyright"].map(|f| format!("{doc}/{f}")));
    expected.extend(SHIPPED_UNITS.map(|unit| format!("/usr/lib/systemd/system/{unit}")));
    expected.extend(PLUGINS.map(|plugin| format!("/usr/lib/cni/{plugin}")));
    let of_tool = [
        "/usr/sbin/cnictl",
        "/usr/share/bash-completion/completions/cnictl",
        "/usr/share/zsh/vendor-completions/_cnictl",
        "/usr/share/fish/vendor_completions.d/cnictl.fish",
    ];
    expected.extend(of_tool.map(str::to_owned));
    expected.extend(manual_pages());
    let schemas = crate::schemas().into_iter();
    expected.extend(schemas.map(|name| format!("/usr/share/cni-meta-plugins/schemas/{name}")));
    expected.sort();
    let mut files = files;
    files.sort_by_key(|(name, _)| *name);
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for (name, mode) in files {
        let is_program = name.starts_with("/usr/lib/cni/") || name.starts_with("/usr/sbin/");
        assert_eq!(mode, if is_program { 0o755 } else { 0o644 }, "{name}");
    }
    for member in members
        .iter()
        .filter(|m| m.name.contains("/lib/cni/") && m.kind == '0')
    {
        elf::assert_static(&member.name, &member.bytes);
    }
}

#[test]
fn a_package_alone_comes_and_goes_without_a_trace() {
    let root = Root::new("alone");
    root.install(&deb());
    root.assert_ours(None);
    root.dpkg(&["--remove", "cni-meta-plugins"]);
    assert!(!root.0.join("usr/lib/cni").exists());
}

#[test]
fn the_reference_installed_before_steps_aside_and_comes_back() {
    let root = Root::new("before");
    root.install(&reference("before", "1"));
    root.install(&deb());
    root.assert_ours(Some("1"));
    // Once more, as an upgrade does.
    root.install(&deb());
    root.assert_ours(Some("1"));
    root.dpkg(&["--remove", "cni-meta-plugins"]);
    root.assert_reference("1");
}

#[test]
fn the_reference_installed_or_upgraded_later_goes_aside_at_once() {
    let root = Root::new("later");
    root.install(&deb());
    root.install(&reference("later", "1"));
    root.assert_ours(Some("1"));
    root.install(&reference("later", "2"));
    root.assert_ours(Some("2"));
    root.dpkg(&["--remove", "cni-meta-plugins"]);
    root.assert_reference("2");
}

#[test]
fn removing_the_reference_leaves_ours() {
    let root = Root::new("reference-goes");
    root.install(&reference("reference-goes", "1"));
    root.install(&deb());
    root.dpkg(&["--remove", "containernetworking-plugins"]);
    root.assert_ours(None);
    assert_eq!(root.names(), PLUGINS);
}
