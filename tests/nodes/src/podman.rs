//! podman with its CNI backend, on a machine of its own.

use std::io;

use crate::chain::{self, Ending, Network, Whose};
use crate::{Machine, image};

/// podman's way to a machine.
#[derive(Debug)]
pub struct Podman<'machine> {
    machine: &'machine Machine,
}

impl<'machine> Podman<'machine> {
    /// Puts plugins, the network and the container's files on the machine.
    ///
    /// # Errors
    /// When something of it is missing.
    pub fn install(
        machine: &'machine Machine,
        network: &Network,
        whose: Whose,
    ) -> io::Result<Self> {
        chain::install(machine, whose)?;
        image::unpack(machine)?;
        machine.write("/etc/containers/containers.conf", &config(network))?;
        let storage = "[storage]\ndriver = \"vfs\"\n\
                       graphroot = \"/var/lib/containers\"\nrunroot = \"/run/containers\"\n";
        machine.write("/etc/containers/storage.conf", storage)?;
        machine.write(
            "/run/cni/net.d/10.conflist",
            &network.conflist(Ending::Success),
        )?;
        Ok(Self { machine })
    }

    /// Starts a container that serves [`image::PAGE`] on its port 80, with these published ports
    /// (`8080:80`, `127.0.0.1:8081:80/tcp`).
    ///
    /// # Errors
    /// With what podman says.
    pub fn run(&self, name: &str, published: &[&str]) -> io::Result<()> {
        let cgroup = format!("--cgroup-parent={}", self.machine.cgroup.path());
        let mut line = vec!["run", "--detach", "--name", name, &cgroup];
        line.extend(published.iter().flat_map(|port| ["--publish", port]));
        line.extend(["--rootfs", image::ROOT]);
        line.extend(image::COMMAND);
        self.sh(&line).map(drop)
    }

    /// Runs podman with these arguments and returns what it printed.
    ///
    /// # Errors
    /// With what podman says.
    pub fn sh(&self, arguments: &[&str]) -> io::Result<String> {
        self.machine.sh(&[&["podman"], arguments].concat())
    }
}

/// The limits are those that need no right beyond the usual; crun, podman's first choice, refuses
/// machines with both versions of cgroups.
fn config(network: &Network) -> String {
    let (plugins, name) = (chain::PLUGINS, network.name);
    format!(
        r#"[containers]
default_sysctls = []
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
netns = "bridge"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "/run/cni/net.d"
default_network = "{name}"
"#
    )
}
