//! The daemon containerd with its CRI plugin, on a machine of its own.

use std::io;
use std::time::Duration;

use sandbox::wait_until;

use crate::chain::{self, Ending, Network};
use crate::cri::Client;
use crate::daemon::Daemon;
use crate::{Machine, image};

/// Where it listens.
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";

/// The longest that it may take to know an image.
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
    daemon: Daemon<'machine>,
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
        let daemon = launch(machine, &client)?;
        let containerd = Self {
            machine,
            daemon,
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
        self.daemon.end("KILL")?;
        self.daemon = launch(self.machine, &self.client)?;
        Ok(())
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

fn launch<'machine>(machine: &'machine Machine, client: &Client) -> io::Result<Daemon<'machine>> {
    let command = "containerd --config /run/containerd.toml";
    Daemon::start(machine, "containerd", command, || client.is_ready())
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
