//! kubelet 1.20 with pods from manifests, over dockershim and dockerd, or over CRI and containerd.

use std::env;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sandbox::Namespace;
use sandbox::api::Api;
use serde_json::{Value, json};

use crate::chain::{self, Network};
use crate::containerd::{SOCKET, networks};
use crate::daemon::Daemon;
use crate::docker::{DOCKER_HOST, docker, launch_docker};
use crate::manifest::Manifest;
use crate::{Containerd, Machine, image};

/// Where libcni keeps what it was answered.
const CACHE: &str = "/var/lib/cni/results";

/// Where kubelet looks for pods.
const MANIFESTS: &str = "/run/manifests";

/// What kubelet sets for the whole machine. It gets files of its own instead.
const TUNABLES: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// The name by which kubelet calls its node.
const NODE: &str = "node1";

/// What kubelet makes pods with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// dockershim, inside of kubelet, and dockerd. kubelet itself calls the plugins.
    Docker,
    /// containerd, over CRI. containerd calls the plugins.
    Containerd,
}

/// A pod's attachment, from libcni's cache.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// The ID of the pod's sandbox.
    pub container: String,
    /// Its namespace's path on the machine.
    pub netns: String,
    /// Its IPv4 address.
    pub address: IpAddr,
    /// Its namespace, kept alive.
    pub namespace: Namespace,
}

enum Below<'machine> {
    Docker(Daemon<'machine>),
    Containerd(Box<Containerd<'machine>>),
}

/// A node: a runtime and a kubelet.
pub struct Kubelet<'machine> {
    machine: &'machine Machine,
    runtime: Runtime,
    network: Network,
    /// Ends first: it would make pods again.
    kubelet: Daemon<'machine>,
    below: Below<'machine>,
}

impl<'machine> Kubelet<'machine> {
    /// Puts the plugins in place and starts the runtime and kubelet.
    ///
    /// # Errors
    /// When something is missing or does not start; then with its log.
    pub fn start(
        machine: &'machine Machine,
        runtime: Runtime,
        network: &Network,
    ) -> io::Result<Self> {
        prepare(machine)?;
        let below = match runtime {
            Runtime::Docker => Below::Docker(docker(machine, network)?),
            Runtime::Containerd => {
                Below::Containerd(Box::new(Containerd::start(machine, network)?))
            }
        };
        if runtime == Runtime::Docker {
            let archive = image::pack(machine)?;
            machine.sh(&[
                &program("docker")?,
                "--host",
                DOCKER_HOST,
                "load",
                "-i",
                &archive,
            ])?;
        }
        let kubelet = launch(machine, runtime)?;
        Ok(Self {
            machine,
            runtime,
            network: network.clone(),
            kubelet,
            below,
        })
    }

    /// Gives kubelet a pod's manifest, or a new form of it.
    ///
    /// # Errors
    /// With the path.
    pub fn put(&self, pod: &Manifest) -> io::Result<()> {
        // kubelet must not see half of it.
        let (new, place) = ("/run/manifest.new", manifest(&pod.name));
        self.machine.write(new, &pod.text())?;
        fs::rename(self.machine.path(new), self.machine.path(&place))
    }

    /// Takes a pod's manifest away.
    ///
    /// # Errors
    /// With the path.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.machine.path(&manifest(name)))
    }

    /// Ends kubelet with a signal.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn end(&mut self, signal: &str) -> io::Result<()> {
        self.kubelet.end(signal)
    }

    /// Starts kubelet once more.
    ///
    /// # Errors
    /// As [`Kubelet::start`].
    pub fn again(&mut self) -> io::Result<()> {
        self.kubelet = launch(self.machine, self.runtime)?;
        Ok(())
    }

    /// Kills the runtime and starts it once more. Its containers go on.
    ///
    /// # Errors
    /// As [`Kubelet::start`].
    pub fn crash_runtime(&mut self) -> io::Result<()> {
        match &mut self.below {
            Below::Containerd(containerd) => containerd.crash_and_restart(),
            Below::Docker(daemon) => {
                daemon.end("KILL")?;
                *daemon = launch_docker(self.machine)?;
                Ok(())
            }
        }
    }

    /// The newest attachment of a pod, if it has one.
    ///
    /// # Errors
    /// When the cache or the namespace cannot be read.
    pub fn attachment(&self, pod: &str) -> io::Result<Option<Attachment>> {
        let wanted = json!(["K8S_POD_NAME", format!("{pod}-{NODE}")]);
        let mut found = None;
        for file in self.machine.list(CACHE)? {
            let path = self.machine.path(&format!("{CACHE}/{file}"));
            let time = fs::metadata(&path).and_then(|data| data.modified());
            // It may be deleted or written at this moment.
            let (Ok(text), Ok(time)) = (fs::read_to_string(&path), time) else {
                continue;
            };
            let Ok(entry) = serde_json::from_str::<Value>(&text) else {
                continue;
            };
            // containerd attaches every pod to a network of loopback as well.
            let is_wanted = entry["networkName"] == self.network.name
                && entry["cniArgs"]
                    .as_array()
                    .is_some_and(|arguments| arguments.contains(&wanted));
            if is_wanted && found.as_ref().is_none_or(|(newest, _)| *newest < time) {
                found = Some((time, entry));
            }
        }
        Ok(found.and_then(|(_, entry)| self.attached(&entry)))
    }

    /// None if the namespace is gone, or the result does not name it yet.
    fn attached(&self, entry: &Value) -> Option<Attachment> {
        let interfaces = entry["result"]["interfaces"].as_array()?;
        let netns = interfaces.iter().find_map(|interface| {
            interface["sandbox"]
                .as_str()
                .filter(|path| !path.is_empty())
        })?;
        // The link from /var/run would lead out of the machine.
        let place = netns.replacen("/var/run/", "/run/", 1);
        let namespace = Namespace::open(&self.machine.path(&place)).ok()?;
        Some(Attachment {
            container: entry["containerId"].as_str()?.to_owned(),
            netns: netns.to_owned(),
            address: entry
                .pointer("/result/ips/0/address")?
                .as_str()?
                .split('/')
                .next()?
                .parse()
                .ok()?,
            namespace,
        })
    }

    /// Starts kube-proxy in iptables mode.
    ///
    /// # Errors
    /// When it is missing or does not start; then with its log.
    pub fn proxy(&self, api: &Api) -> io::Result<Daemon<'machine>> {
        let command = format!(
            "{} --master={} --proxy-mode=iptables --hostname-override={NODE} --cluster-cidr=10.97.0.0/24 \
             --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
             --conntrack-tcp-timeout-close-wait=0 --oom-score-adj=0 --iptables-min-sync-period=0s",
            program("kube-proxy")?,
            api.url()
        );
        Daemon::start(self.machine, "kube-proxy", &command, || {
            is_healthy(self.machine, 10256)
        })
    }

    /// Kills every process of a pod, the first one too.
    ///
    /// # Errors
    /// When they cannot be found or signalled.
    pub fn kill(&self, attachment: &Attachment) -> io::Result<()> {
        let inode = fs::metadata(attachment.namespace.path())?.ino();
        let line = format!(
            "for process in /proc/[0-9]*; do \
             [ \"$(stat -Lc %i $process/ns/net 2>/dev/null)\" != {inode} ] || kill -KILL ${{process#/proc/}}; done"
        );
        self.machine.sh(&["sh", "-c", &line]).map(drop)
    }

    /// `cnictl check` of an attachment: CHECK of every plugin of the chain.
    ///
    /// # Errors
    /// With what it prints.
    pub fn check(&self, attachment: &Attachment) -> io::Result<()> {
        let Attachment {
            container, netns, ..
        } = attachment;
        let line = [
            "/run/cnictl",
            "check",
            self.network.name,
            netns,
            "--container-id",
            container,
        ];
        let directory = networks(CHAIN);
        let places = ["--conf-dir", &directory, "--path", chain::PLUGINS];
        self.machine.sh(&[&line[..], &places].concat()).map(drop)
    }
}

/// The handler whose list kubelet uses for every pod.
pub(crate) const CHAIN: &str = "success";

fn manifest(name: &str) -> String {
    format!("{MANIFESTS}/{name}.json")
}

/// The path of a program of Kubernetes or Docker.
///
/// # Errors
/// When they cannot be made.
pub(crate) fn program(name: &str) -> io::Result<String> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = MADE.get_or_init(|| make().map_err(|error| error.to_string()));
    let directory = made
        .as_ref()
        .map_err(|error| io::Error::other(error.clone()))?;
    Ok(directory.join("bin").join(name).display().to_string())
}

fn make() -> io::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes");
    let output = Command::new(&script)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(PathBuf::from(directory));
    }
    Err(io::Error::other(format!(
        "{}: {}",
        script.display(),
        output.status
    )))
}

fn prepare(machine: &Machine) -> io::Result<()> {
    for tunable in TUNABLES {
        let (real, own) = (
            format!("/proc/sys/{tunable}"),
            format!("/run/proc-sys/{tunable}"),
        );
        machine.write(&own, &fs::read_to_string(&real)?)?;
        machine.sh(&["mount", "--bind", &own, &real])?;
    }
    fs::create_dir_all(machine.path(MANIFESTS))?;
    chain::copy_ours(machine, "/run", "cnictl")
}

fn launch(machine: &Machine, runtime: Runtime) -> io::Result<Daemon<'_>> {
    let kubelet = program("kubelet")?;
    let network = networks(CHAIN);
    let over = match runtime {
        Runtime::Docker => format!(
            "--container-runtime=docker --docker-endpoint={DOCKER_HOST} --network-plugin=cni \
             --cni-conf-dir={network} --cni-bin-dir={} --cni-cache-dir=/var/lib/cni \
             --pod-infra-container-image={}",
            chain::PLUGINS,
            image::NAME
        ),
        Runtime::Containerd => {
            format!("--container-runtime=remote --container-runtime-endpoint=unix://{SOCKET}")
        }
    };
    let cgroup = machine.cgroup.path();
    let address = machine.net.host.v4(0).ip();
    let command = format!(
        "{kubelet} {over} --pod-manifest-path={MANIFESTS} --file-check-frequency=1s --sync-frequency=5s \
         --cgroup-driver=cgroupfs --cgroups-per-qos=false --cgroup-root={cgroup} \
         --enforce-node-allocatable= --fail-swap-on=false --oom-score-adj=0 \
         --hostname-override={NODE} --node-ip={address} --address=127.0.0.1 --healthz-port=10248 \
         --authentication-token-webhook=false --anonymous-auth=true --authorization-mode=AlwaysAllow \
         --eviction-hard= --image-gc-high-threshold=100 --minimum-container-ttl-duration=0s --v=2"
    );
    Daemon::start(machine, "kubelet", &command, || is_healthy(machine, 10248))
}

/// Whether a daemon of Kubernetes says so itself.
fn is_healthy(machine: &Machine, port: u16) -> bool {
    let page = format!("http://127.0.0.1:{port}/healthz");
    let fetch = ["busybox", "wget", "-q", "-O", "-", &page];
    machine.sh(&fetch).is_ok()
}
