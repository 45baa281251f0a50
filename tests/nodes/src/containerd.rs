//! The daemon containerd with its CRI plugin, on a machine of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Child;
use std::thread;
use std::time::Duration;

use sandbox::wait_until;

use crate::chain::{self, Ending, Network};
use crate::cri::Client;
use crate::{Machine, image};

/// Where it listens.
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";

/// What it tells about itself.
const LOG: &str = "/run/containerd.log";

/// The longest that its start may take; it takes about half a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handler makes pods with a certain network configuration: the configuration is chosen for each pod,
/// and no file changes under the daemon.
const HANDLERS: [(&str, Ending); 3] = [
    ("success", Ending::Success),
    ("refusal", Ending::Refusal),
    ("unknown-sysctl", Ending::UnknownSysctl),
];

/// The name of the handler whose pods' ADD ends so.
pub(crate) fn handler(ending: Ending) -> &'static str {
    let found = HANDLERS.iter().find(|(_, other)| *other == ending);
    found.map_or("", |(name, _)| name)
}

/// A running containerd. Its processes end with the machine.
#[derive(Debug)]
pub struct Containerd<'machine> {
    machine: &'machine Machine,
    process: Child,
    /// Pods.
    pub client: Client,
}

impl<'machine> Containerd<'machine> {
    /// Puts plugins, networks and the image on the machine and starts the daemon.
    ///
    /// # Errors
    /// When something of it is missing, or it does not answer; then with its log.
    pub fn start(machine: &'machine Machine, network: &Network) -> io::Result<Self> {
        chain::install(machine, chain::Whose::Ours)?;
        image::unpack(machine)?;
        machine.write("/run/containerd.toml", &config())?;
        for (handler, ending) in HANDLERS {
            let file = format!("{}/10.conflist", networks(handler));
            machine.write(&file, &network.conflist(ending))?;
        }
        let client = Client::new(machine.path(SOCKET), machine.cgroup.path());
        let process = launch(machine, &client)?;
        let containerd = Self {
            machine,
            process,
            client,
        };
        containerd.import(&image::pack(machine)?)?;
        Ok(containerd)
    }

    /// Kills the daemon, as a crash would, and starts it again. The pods go on meanwhile.
    ///
    /// # Errors
    /// As [`Containerd::start`].
    pub fn crash_and_restart(&mut self) -> io::Result<()> {
        self.kill()?;
        self.process = launch(self.machine, &self.client)?;
        Ok(())
    }

    /// The process we have is `nsenter`, which waits for the daemon and reaps it.
    fn kill(&mut self) -> io::Result<()> {
        self.machine
            .sh(&["sh", "-c", "kill -KILL $(cat /run/containerd.pid)"])?;
        self.process.wait().map(drop)
    }

    fn import(&self, archive: &str) -> io::Result<()> {
        let ctr = ["ctr", "--address", SOCKET, "--namespace", "k8s.io"];
        let import = ["images", "import", "--snapshotter", "native", archive];
        self.machine.sh(&[&ctr[..], &import].concat())?;
        // The CRI plugin learns of it from an event.
        let known = || self.client.has_image(image::NAME).unwrap_or(false);
        if wait_until(PATIENCE, known) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "containerd has imported {} but does not know it",
            image::NAME
        )))
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        // What is left of it ends with the machine.
        let _ = self.kill();
        if thread::panicking() {
            let _ = writeln!(io::stderr(), "containerd's log:\n{}", log(self.machine));
        }
    }
}

fn launch(machine: &Machine, client: &Client) -> io::Result<Child> {
    let start = "echo $$ >/run/containerd.pid; exec containerd --config /run/containerd.toml";
    let output = File::options()
        .create(true)
        .append(true)
        .open(machine.path(LOG))?;
    let mut process = machine
        .command(&["sh", "-c", start])
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let mut ended = false;
    wait_until(PATIENCE, || {
        ended = process.try_wait().is_ok_and(|status| status.is_some());
        ended || client.is_ready()
    });
    if !ended && client.is_ready() {
        return Ok(process);
    }
    let _ = process.kill();
    process.wait()?;
    Err(io::Error::other(format!(
        "start containerd (packages containerd and runc): {}",
        log(machine)
    )))
}

fn log(machine: &Machine) -> String {
    fs::read_to_string(machine.path(LOG)).unwrap_or_default()
}

pub(crate) fn networks(handler: &str) -> String {
    format!("/run/cni/{handler}.d")
}

/// Nothing that needs a network, a right that a container lacks (lowering `oom_score_adj`), a kernel
/// module, or a file system that cannot lie on a tmpfs.
fn config() -> String {
    let cri = r#"plugins."io.containerd.grpc.v1.cri""#;
    let handlers = HANDLERS.map(|(handler, _)| {
        let (runtime, networks) = (
            format!("{cri}.containerd.runtimes.{handler}"),
            networks(handler),
        );
        format!(
            "[{runtime}]\nruntime_type = \"io.containerd.runc.v2\"\ncni_conf_dir = \"{networks}\"\n"
        )
    });
    let (handlers, plugins, networks, image) = (
        handlers.concat(),
        chain::PLUGINS,
        networks(HANDLERS[0].0),
        image::NAME,
    );
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{SOCKET}"
[{cri}]
sandbox_image = "{image}"
stream_server_address = "127.0.0.1"
restrict_oom_score_adj = true
disable_apparmor = true
[{cri}.cni]
bin_dir = "{plugins}"
conf_dir = "{networks}"
[{cri}.containerd]
snapshotter = "native"
default_runtime_name = "success"
{handlers}"#
    )
}
