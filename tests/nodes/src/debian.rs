//! A Debian of its own that systemd boots in a container: systemd-nspawn(1), also on a machine whose process 1
//! is not systemd.
//!
//! Its packages are unpacked once by debootstrap, from where this machine's apt has them, and kept in the
//! cache of all suites (`.ci/cache`) under a hash of what they are made from. Each boot sees them through an overlay whose changes are in memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandbox::plugin::binary;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::machine::must_be_root;

const RELEASE: &str = "bookworm";
/// Of every node.
const BASE: &str =
    "systemd,systemd-sysv,dbus,libpam-systemd,iptables,nftables,iproute2,procps,python3";

/// Seconds that a node may live.
const PATIENCE: &str = "900";

/// Mounts the node's file system, and what systemd-nspawn expects of a machine that systemd has booted; then
/// boots it. Everything is in a mount namespace that ends with it.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$2"
mkdir "$2/changes" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$3:$1,upperdir=$2/changes,workdir=$2/work" "$2/root"
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
exec systemd-nspawn --quiet -D "$2/root" --boot --private-network --register=no --keep-unit \
    --console=read-only --bind="$4:/answer" -M node
"#;

/// The unit that runs the program when everything else is up.
const UNIT: &str = "[Unit]
After=multi-user.target
[Service]
Type=idle
ExecStart=/usr/local/bin/program /answer/answer.json
StandardOutput=journal+console
[Install]
WantedBy=multi-user.target
";

/// What runs in a node.
#[derive(Debug)]
pub struct Program {
    /// Its name, for messages.
    pub name: &'static str,
    /// A script with its interpreter in the first line. It gets the file to write its answer to, and then
    /// ends the node by `systemctl poweroff`.
    pub text: &'static str,
}

/// A node that has not been booted yet.
#[derive(Debug)]
pub struct Debian {
    packages: PathBuf,
    /// Its own files, above those of the packages.
    files: PathBuf,
    scratch: PathBuf,
}

impl Debian {
    /// A node with our plugins in /opt/cni/bin and the tool in /usr/local/bin. Beside systemd, iptables, nftables,
    /// iproute2 and Python it has `packages`, a list with commas.
    ///
    /// # Errors
    /// Without root, or when debootstrap cannot have the packages.
    pub fn new(name: &str, packages: &str) -> io::Result<Debian> {
        must_be_root()?;
        let scratch = std::env::temp_dir().join(format!("cni-node-{name}-{}", std::process::id()));
        let node = Debian {
            packages: unpacked(RELEASE, &format!("{BASE},{packages}"))?,
            files: scratch.join("files"),
            scratch,
        };
        for plugin in ["tuning", "portmap", "bandwidth"] {
            node.write_program(&format!("opt/cni/bin/{plugin}"), &fs::read(binary(plugin))?)?;
        }
        node.write_program("usr/local/bin/cnictl", &fs::read(binary("cnictl"))?)?;
        symlink("/usr/local/bin/cnictl", node.files.join("opt/cni/bin/veth"))?;
        Ok(node)
    }

    /// Puts a file into it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.files.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        fs::write(&path, bytes)?;
        Ok(path)
    }

    fn write_program(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.write(path, bytes)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    }

    /// Boots it, waits until its program has ended it, and gives the answer.
    ///
    /// # Errors
    /// When it does not come up, or ends without an answer; with the end of its console.
    pub fn boot(&self, program: &Program) -> io::Result<Value> {
        self.write_program("usr/local/bin/program", program.text.as_bytes())?;
        self.write("etc/systemd/system/program.service", UNIT.as_bytes())?;
        let wants = self
            .files
            .join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        symlink("../program.service", wants.join("program.service"))?;
        let [answer, overlay] = ["answer", "overlay"].map(|name| self.scratch.join(name));
        fs::create_dir_all(&answer)?;
        fs::create_dir_all(&overlay)?;
        let ended = Command::new("timeout")
            .args([
                "--signal=KILL",
                PATIENCE,
                "unshare",
                "--mount",
                "sh",
                "-c",
                BOOT,
                "sh",
            ])
            .args([&self.packages, &overlay, &self.files, &answer])
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .output()?;
        let text = fs::read(answer.join("answer.json")).map_err(|cause| {
            let said = [ended.stdout, ended.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let end: Vec<&str> = said.lines().rev().take(60).collect();
            let end: Vec<&str> = end.into_iter().rev().collect();
            let (name, status) = (program.name, ended.status);
            io::Error::other(format!(
                "{name}: no answer ({cause}), {status}: {}",
                end.join("\n")
            ))
        })?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// Where the least Debian of this release (`bookworm`) with these packages, a list with commas, is unpacked. It is done
/// once.
///
/// # Errors
/// When debootstrap cannot have the packages.
pub fn unpacked(release: &str, packages: &str) -> io::Result<PathBuf> {
    let options = [
        "--variant=minbase".to_owned(),
        format!("--include={packages}"),
        release.to_owned(),
    ];
    let name = format!("{release}-{}", hash(&options));
    let cache = cache(&name)?;
    let whole = cache.join(&name);
    // Two at once would make it twice; whoever comes second finds it made.
    let lock = File::create(cache.join(format!("lock-{name}")))?;
    lock.lock()?;
    if whole.exists() {
        return Ok(whole);
    }
    let part = cache.join(format!("making-{name}"));
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    let made = Command::new("debootstrap")
        .args(options)
        .arg(&part)
        .arg(mirror()?)
        .stdin(Stdio::null())
        .output()?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        let end: Vec<&str> = said.lines().rev().take(5).collect();
        return Err(io::Error::other(format!("debootstrap: {end:?}")));
    }
    fs::rename(&part, &whole)?;
    Ok(whole)
}

/// The cache of all suites, in which `name` is needed.
fn cache(name: &str) -> io::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/cache");
    let printed = Command::new(&script).arg(name).output()?;
    if !printed.status.success() {
        let said = String::from_utf8_lossy(&printed.stderr);
        return Err(io::Error::other(format!("{}: {said}", script.display())));
    }
    let directory = String::from_utf8(printed.stdout).map_err(io::Error::other)?;
    Ok(PathBuf::from(directory.trim_end()))
}

/// Of what a node's packages are made from.
fn hash(options: &[String]) -> String {
    let digest = Sha256::digest(options.join(" "));
    let start = digest.iter().take(6);
    start.map(|byte| format!("{byte:02x}")).collect()
}

/// Where this machine's apt has Debian's packages.
fn mirror() -> io::Result<String> {
    let listed = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(SITE)",
            "Created-By: Packages",
        ])
        .output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let site = listed.lines().find(|site| site.ends_with("/debian"));
    let site =
        site.ok_or_else(|| io::Error::other("apt knows no mirror of Debian: apt-get update"))?;
    Ok(site.to_owned())
}
