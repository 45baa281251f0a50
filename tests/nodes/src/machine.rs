//! A machine of its own: network, mounts and processes apart from those of the one the tests run on.
//!
//! Its network is a [`sandbox::Topology`] with a client outside. Its `/run`, `/var/lib` and `/dev/shm` are
//! empty tmpfs, so that daemons keep nothing on the real machine. Its processes end with it, and with them
//! their mounts, because the kernel does it: also when the test panics or is killed.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;
use sandbox::Topology;
use sandbox::topology::Net;
use sandbox::wait_until;

use crate::cgroup::Cgroup;
use crate::{debian, record};

/// Where programs are looked for, by us and by the daemons.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest that a command or the end of a machine may take. Ample for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names the release of Debian whose programs the machines run, where it is not that of the real one: `trixie`.
const RELEASE: &str = "CNI_DEBIAN";

/// What a machine of that release has, beside Debian's least.
const PACKAGES: &str =
    "containerd,runc,containernetworking-plugins,iptables,iproute2,procps,busybox-static";

/// The first process of the machine: prepares its mounts, then reaps orphans, as daemons expect, until
/// its standard input ends. That happens when we close it, and also when we are killed. `$1` is the root directory,
/// which it does not change; empty: the real machine's.
const INIT: &str = r#"
set -e
if [ -n "$1" ]; then
    mount --bind "$1" "$1"
    mount -o remount,bind,ro "$1"
    for place in proc sys dev; do mount --rbind "/$place" "$1/$place"; done
    cd "$1"
    pivot_root . .
    umount --lazy .
    cd /
fi
for place in /run /var/lib /var/log /dev/shm /etc/cni /etc/containers; do
    [ ! -d "$place" ] || mount -t tmpfs tmpfs "$place"
done
mkdir /run/lock /run/netns
echo ready
exec 3<&0 </dev/null >/dev/null 2>&1
cat <&3 &
exec 3<&-
wait $!
"#;

/// The machine. Dropping it ends all of its processes and frees everything.
#[derive(Debug)]
pub struct Machine {
    /// `unshare`: not inside, but the way in. It ends when everything inside has.
    door: Child,
    /// Where its containers' cgroups are made. Dropped after Drop has ended the processes.
    pub(crate) cgroup: Cgroup,
    /// Its network: the host, and a client outside.
    pub net: Net,
}

impl Machine {
    /// Starts a machine on which nothing runs.
    ///
    /// # Errors
    /// Without root, or when `unshare` or `mount` is missing or fails.
    pub fn start() -> io::Result<Self> {
        must_be_root()?;
        let release = std::env::var(RELEASE).ok();
        let root = release.as_ref();
        let root = root.map(|release| debian::unpacked(release, PACKAGES));
        let root = root.transpose()?.unwrap_or_default();
        let net = Topology::new().containers(0).client().build()?;
        let mut door = net
            .host
            .command("unshare")
            .args(["--mount", "--propagation", "private", "--mount-proc"])
            .args(["--pid", "--fork", "--kill-child", "--"])
            .args(["sh", "-c", &format!("exec 2>&1\n{INIT}"), "sh"])
            .arg(root)
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| missing("unshare (package util-linux)", &e))?;
        let output = door.stdout.take();
        let machine = Self {
            door,
            cgroup: Cgroup::new(),
            net,
        };
        let mut said = String::new();
        for line in output
            .into_iter()
            .flat_map(|pipe| BufReader::new(pipe).lines())
        {
            match line?.as_str() {
                "ready" => {
                    if let Some(release) = &release {
                        machine.must_be_of(release)?;
                    }
                    return Ok(machine);
                }
                line => said = format!("{said}{line}; "),
            }
        }
        Err(io::Error::other(format!(
            "start a machine (as root): {said}"
        )))
    }

    /// Fails where its programs are not those of a release.
    fn must_be_of(&self, release: &str) -> io::Result<()> {
        let system = fs::read_to_string(self.path("/etc/os-release"))?;
        let wanted = format!("VERSION_CODENAME={release}");
        if system.lines().any(|line| line == wanted) {
            return Ok(());
        }
        let text = format!("{RELEASE} is {release}, and the machine is another: {system}");
        Err(io::Error::other(text))
    }

    /// A file of the machine as this process can reach it.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.door.id()))
    }

    /// Writes a file of the machine, and the directories it is in.
    ///
    /// # Errors
    /// With the path.
    pub fn write(&self, inside: &str, text: &str) -> io::Result<()> {
        let path = self.path(inside);
        let tried = |e: io::Error| io::Error::new(e.kind(), format!("write {inside}: {e}"));
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(tried)?;
        fs::write(path, text).map_err(tried)
    }

    /// What a directory of the machine holds, by name; nothing if it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self, inside: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(inside)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// A command that will be started on the machine, with a clean environment.
    #[must_use]
    pub fn command(&self, line: &[&str]) -> Command {
        let namespaces = format!("/proc/{}/ns", self.door.id());
        let mut command = self.net.host.command("nsenter");
        command
            .arg(format!("--mount={namespaces}/mnt"))
            .arg(format!("--pid={namespaces}/pid_for_children"))
            .arg("--")
            .args(line)
            .env_clear()
            .env("PATH", PATH)
            .env("TMPDIR", "/run")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command on the machine and returns what it printed.
    ///
    /// # Errors
    /// When the program is missing, fails or takes more than a minute; the error holds its stderr.
    pub fn sh(&self, line: &[&str]) -> io::Result<String> {
        let seconds = PATIENCE.as_secs().to_string();
        let bounded = [&["timeout", "--kill-after=5", &seconds], line].concat();
        let output = self
            .command(&bounded)
            .output()
            .map_err(|e| missing("nsenter (package util-linux)", &e))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let line = line.join(" ");
        let status = output.status;
        Err(io::Error::other(format!(
            "{line}: {status}: {}",
            stderr.trim()
        )))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(directory) = record::directory()
            && let Err(error) = record::keep(self, &directory)
        {
            let _ = writeln!(io::stderr(), "keep what was recorded: {error}");
        }
        drop(self.door.stdin.take());
        let ended = || !matches!(self.door.try_wait(), Ok(None));
        if !wait_until(PATIENCE, ended) {
            // There is nobody to tell.
            let _ = self.door.kill();
            let _ = self.door.wait();
        }
    }
}

/// A user namespace will not do: its root may not make cgroups, and it lacks the users and groups that
/// container file systems are made with.
pub(crate) fn must_be_root() -> io::Result<()> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    if map.split_whitespace().eq(["0", "0", "4294967295"]) && geteuid().is_root() {
        return Ok(());
    }
    Err(io::Error::other(
        "container runtimes need root, not just a user namespace",
    ))
}

fn missing(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("start {what}: {error}"))
}
