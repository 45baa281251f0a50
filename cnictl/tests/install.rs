//! `install` and `uninstall` on directories: what a runtime would find there after each step.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cnictl::install::{Done, File, Replaced, install, restore};

const PLUGINS: [&str; 3] = ["bandwidth", "portmap", "tuning"];

/// A payload and a CNI directory of their own.
struct Node {
    root: PathBuf,
}

impl Node {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        let node = Self { root };
        fs::create_dir_all(node.plugins()).unwrap();
        fs::create_dir_all(node.cni()).unwrap();
        node.payload("one");
        node
    }

    fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    fn cni(&self) -> PathBuf {
        self.root.join("cni")
    }

    /// Makes the plugins of a release.
    fn payload(&self, release: &str) {
        for name in PLUGINS {
            fs::write(self.plugins().join(name), format!("{name} {release}")).unwrap();
        }
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.cni().join(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.cni().join(name)).unwrap()
    }

    /// The plugins as the program reads them.
    fn release(&self) -> Vec<File> {
        let read = |name: &str| File {
            name: name.to_owned(),
            bytes: fs::read(self.plugins().join(name)).unwrap(),
        };
        PLUGINS.map(read).into()
    }

    /// The program, in the image's layout: `plugins` beside it.
    fn program(&self) -> PathBuf {
        let program = self.root.join("cnictl");
        fs::copy(env!("CARGO_BIN_EXE_cnictl"), &program).unwrap();
        program
    }

    fn install(&self) -> Vec<Done> {
        let done = install(self.release(), &self.cni(), Replaced::Kept).unwrap();
        done.into_iter().map(|(_, what)| what).collect()
    }

    fn restore(&self) -> Vec<Done> {
        let done = restore(&self.cni(), &[]).unwrap();
        done.into_iter().map(|(_, what)| what).collect()
    }

    /// Everything below the CNI directory, hidden files too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cni()).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn an_empty_directory_is_empty_again_after_restore() {
    let node = Node::new("empty");
    node.install();
    assert_eq!(node.text("portmap"), "portmap one");
    let mode = fs::metadata(node.cni().join("portmap")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
    node.restore();
    assert_eq!(node.names(), [""; 0]);
}

#[test]
fn what_was_there_comes_back_as_the_same_file() {
    let node = Node::new("same-file");
    node.put("bridge", "bridge");
    node.put("portmap", "reference");
    let path = node.cni().join("portmap");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    symlink("/usr/lib/cni/tuning", node.cni().join("tuning")).unwrap();
    let before = fs::metadata(&path).unwrap();
    node.install();
    assert_eq!(node.text("portmap"), "portmap one");
    assert_eq!(node.text("tuning"), "tuning one");
    node.restore();
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (after.ino(), after.mode(), after.mtime_nsec()),
        (before.ino(), before.mode(), before.mtime_nsec())
    );
    let link = fs::read_link(node.cni().join("tuning")).unwrap();
    assert_eq!(link, Path::new("/usr/lib/cni/tuning"));
    assert_eq!(node.names(), ["bridge", "portmap", "tuning"]);
}

#[test]
fn upgrades_keep_what_was_there_before_the_first_one() {
    let node = Node::new("upgrade");
    node.put("portmap", "reference");
    node.install();
    node.payload("two");
    node.install();
    assert_eq!(node.text("portmap"), "portmap two");
    node.restore();
    assert_eq!(node.text("portmap"), "reference");
}

#[test]
fn installing_twice_is_installing_once() {
    let node = Node::new("twice");
    node.put("portmap", "reference");
    node.install();
    let inode = fs::metadata(node.cni().join("portmap")).unwrap().ino();
    assert_eq!(node.install(), [Done::Already; 3]);
    assert_eq!(
        fs::metadata(node.cni().join("portmap")).unwrap().ino(),
        inode
    );
    node.restore();
    assert_eq!(node.text("portmap"), "reference");
    assert_eq!(node.restore(), []);
}

#[test]
fn a_newer_reference_put_over_ours_is_what_comes_back() {
    let node = Node::new("newer-reference");
    node.put("portmap", "reference 1");
    node.install();
    // As tar and cp --remove-destination do: a new file under the old name.
    fs::remove_file(node.cni().join("portmap")).unwrap();
    node.put("portmap", "reference 2");
    node.install();
    assert_eq!(node.text("portmap"), "portmap one");
    node.restore();
    assert_eq!(node.text("portmap"), "reference 2");
}

#[test]
fn restore_leaves_what_somebody_else_put_there_since() {
    let node = Node::new("somebody-else");
    node.put("portmap", "reference 1");
    node.install();
    node.put("portmap", "reference 2");
    let done = node.restore();
    assert_eq!(done, [Done::Removed, Done::LeftAlone, Done::Removed]);
    assert_eq!(node.text("portmap"), "reference 2");
    assert_eq!(
        node.text(".cni-meta-plugins/replaced/portmap"),
        "reference 1"
    );
    assert!(!node.cni().join("tuning").exists());
}

#[test]
fn an_interrupted_swap_is_finished_by_the_next_run() {
    let node = Node::new("interrupted");
    node.put("portmap", "reference");
    node.install();
    // As a crash leaves it after the swap: the old file has come out and is not kept yet.
    let state = node.cni().join(".cni-meta-plugins");
    fs::rename(state.join("replaced/portmap"), state.join("new/portmap")).unwrap();
    fs::write(state.join("new/tuning.partial"), "tun").unwrap();
    node.restore();
    assert_eq!(node.text("portmap"), "reference");
    assert_eq!(node.names(), ["portmap"]);
}

#[test]
fn nothing_is_replaced_when_one_plugin_cannot_be() {
    let node = Node::new("directory");
    node.put("bandwidth", "reference");
    fs::create_dir(node.cni().join("tuning")).unwrap();
    let failed = install(node.release(), &node.cni(), Replaced::Kept);
    let error = failed.unwrap_err().to_string();
    assert!(error.ends_with("tuning is a directory"), "{error}");
    assert_eq!(node.text("bandwidth"), "reference");
    assert!(!node.cni().join("portmap").exists());
}

#[test]
fn a_swap_that_fails_in_the_middle_undoes_those_before() {
    let node = Node::new("undo");
    node.put("bandwidth", "reference");
    node.put("tuning", "reference");
    node.program();
    // A mount point cannot be renamed.
    let script = "mount --bind cni/tuning cni/tuning && ./cnictl install cni --backup";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .current_dir(&node.root)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("cnictl: replace cni/tuning: "),
        "{stderr}"
    );
    assert!(!stderr.contains("undoing"), "{stderr}");
    assert_eq!(node.text("bandwidth"), "reference");
    assert!(!node.cni().join("portmap").exists());
    node.restore();
    assert_eq!(node.names(), ["bandwidth", "tuning"]);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let node = Node::new("missing");
    let missing = node.root.join("nowhere");
    let failed = install(node.release(), &missing, Replaced::Kept);
    let error = failed.unwrap_err().to_string();
    assert!(
        error.starts_with("open ") && error.contains("nowhere"),
        "{error}"
    );
    assert!(!missing.exists());
}

#[test]
fn what_is_not_to_be_kept_goes_and_what_is_kept_stays() {
    let node = Node::new("dropped");
    node.put("portmap", "reference 1");
    let put = || install(node.release(), &node.cni(), Replaced::Dropped).unwrap();
    put();
    assert_eq!(node.restore(), [Done::Removed; 3]);
    assert_eq!(node.names(), [""; 0]);
    node.put("portmap", "reference 2");
    node.install();
    node.payload("two");
    put();
    node.restore();
    assert_eq!(node.text("portmap"), "reference 2");
}

#[test]
fn one_plugin_is_taken_out_and_the_others_stay() {
    let node = Node::new("one");
    node.put("portmap", "reference");
    node.install();
    let done = restore(&node.cni(), &["portmap"]).unwrap();
    assert_eq!(done, [("portmap".to_owned(), Done::Back)]);
    assert_eq!(node.text("portmap"), "reference");
    assert_eq!(node.text("tuning"), "tuning one");
    assert_eq!(node.restore(), [Done::Removed; 2]);
    assert_eq!(node.names(), ["portmap"]);
}

/// The program on a file system that knows no flags of renameat2(2), such as an older ZFS, and of which
/// further system calls fail.
fn run_on_an_old_file_system(node: &Node, line: &[&str], faults: &[&str]) -> std::process::Output {
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=renameat2:error=EINVAL",
    ]);
    for fault in faults {
        strace.args(["-e", &format!("inject={fault}")]);
    }
    strace.arg(node.program()).args(line).arg(node.cni());
    strace.output().unwrap()
}

#[test]
fn a_file_system_that_cannot_swap_names_will_do() {
    let node = Node::new("no-exchange");
    node.put("portmap", "reference");
    let output = run_on_an_old_file_system(&node, &["install", "--backup"], &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(node.text("portmap"), "portmap one");
    let kept = node.text(".cni-meta-plugins/replaced/portmap");
    assert_eq!(kept, "reference");
    let output = run_on_an_old_file_system(&node, &["uninstall"], &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(node.text("portmap"), "reference");
    assert_eq!(node.names(), ["portmap"]);
}

#[test]
fn a_swap_without_exchange_that_stops_halfway_is_finished_by_the_next_run() {
    // The renames of the program: three files staged, the record before them; then, for the first plugin
    // that is there, the new file in place of the old one, and the second name in place of the new one.
    for at in 5..=6 {
        let node = Node::new(&format!("halfway-{at}"));
        node.put("bandwidth", "reference");
        let killed = format!("rename:signal=KILL:when={at}");
        let output = run_on_an_old_file_system(&node, &["install", "--backup"], &[&killed]);
        assert!(!output.status.success(), "{output:?}");
        assert!(node.cni().join("bandwidth").exists());
        assert!(
            node.cni()
                .join(".cni-meta-plugins/new/bandwidth.second")
                .exists()
        );
        node.restore();
        assert_eq!(node.text("bandwidth"), "reference");
        assert_eq!(node.names(), ["bandwidth"]);
    }
}

#[test]
fn the_rights_that_the_daemon_set_gives_suffice() {
    let node = Node::new("rights");
    node.put("portmap", "reference");
    node.program();
    // Root of the node's files, without a capability: what packaging/kubernetes/install/daemonset.yaml leaves.
    for line in [&["install", "--backup"][..], &["uninstall"]] {
        let output = Command::new("unshare")
            .args([
                "--map-root-user",
                "setpriv",
                "--bounding-set=-all",
                "--inh-caps=-all",
            ])
            .args(["--no-new-privs", "./cnictl"])
            .args(line)
            .arg("cni")
            .current_dir(&node.root)
            .output()
            .unwrap();
        assert!(output.status.success(), "{line:?}: {output:?}");
    }
    assert_eq!(node.text("portmap"), "reference");
    assert_eq!(node.names(), ["portmap"]);
}

#[test]
fn waiting_ends_with_the_signal_that_ends_a_pod() {
    // As process 1, where a signal without a handler is ignored.
    let mut child = Command::new("unshare")
        .args(["--map-root-user", "--pid", "--fork", "--kill-child"])
        .args([env!("CARGO_BIN_EXE_cnictl"), "wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "waiting\n");
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let inner = fs::read_to_string(children).unwrap();
    let kill = Command::new("kill").args(["-TERM", inner.trim()]).status();
    assert!(kill.unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_wrong_command_line_says_how_it_goes() {
    for arguments in [
        &[][..],
        &["install"],
        &["install", "a", "--plugin", "bridge"],
        &["uninstall", "a", "b"],
        &["remove", "a"],
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_cnictl"))
            .args(arguments)
            .output();
        let output = run.unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("--help"), "{stderr}");
    }
}
