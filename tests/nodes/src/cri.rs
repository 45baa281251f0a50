//! Pods over CRI, asked for as the kubelet does.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::chain::Ending;
use crate::containerd::handler;
use crate::grpc::call;
use crate::messages::{
    Empty, ImageSpec, ImageStatusRequest, ImageStatusResponse, LinuxPodSandboxConfig,
    PodSandboxConfig, PodSandboxMetadata, PodSandboxRequest, PodSandboxStatusRequest,
    PodSandboxStatusResponse, PortMapping, RunPodSandboxRequest, RunPodSandboxResponse,
};

/// A protocol of a host port, with its number in CRI.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// TCP.
    Tcp = 0,
    /// UDP.
    Udp = 1,
    /// SCTP.
    Sctp = 2,
}

/// A pod to be made.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    ports: Vec<(Protocol, String, u16)>,
    annotations: BTreeMap<String, String>,
}

/// What a runtime says of a pod.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its first process runs.
    pub ready: bool,
    /// Path of its network namespace on the machine.
    pub netns: String,
    /// The number of its first process on the machine.
    pub pid: u64,
}

/// A client of one runtime.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    cgroup: String,
}

impl Pod {
    /// A pod that asks for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a port of the host that leads to its port 80. Without `host_ip`: on every address.
    #[must_use]
    pub fn host_port(mut self, protocol: Protocol, host_ip: &str, port: u16) -> Self {
        self.ports.push((protocol, host_ip.to_owned(), port));
        self
    }

    /// With a bandwidth annotation: `ingress` or `egress`, in bits per second with Kubernetes' suffixes.
    #[must_use]
    pub fn bandwidth(mut self, direction: &str, rate: &str) -> Self {
        let key = format!("kubernetes.io/{direction}-bandwidth");
        self.annotations.insert(key, rate.to_owned());
        self
    }

    fn config(&self, name: &str, cgroup: &str) -> PodSandboxConfig {
        let mapping = |(protocol, host_ip, port): &(Protocol, String, u16)| PortMapping {
            protocol: *protocol as i32,
            container_port: 80,
            host_port: i32::from(*port),
            host_ip: host_ip.clone(),
        };
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                uid: format!("uid-{name}"),
                namespace: "default".to_owned(),
            }),
            hostname: name.to_owned(),
            log_directory: "/run/log".to_owned(),
            port_mappings: self.ports.iter().map(mapping).collect(),
            annotations: self.annotations.clone(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: cgroup.to_owned(),
            }),
        }
    }
}

impl Client {
    pub(crate) fn new(socket: PathBuf, cgroup: String) -> Self {
        Self { socket, cgroup }
    }

    /// Makes a pod and returns its ID.
    ///
    /// # Errors
    /// What the runtime answers.
    pub fn run(&self, name: &str, pod: &Pod) -> io::Result<String> {
        self.run_to(Ending::Success, name, pod)
    }

    /// Makes a pod on a network whose ADD ends so.
    ///
    /// # Errors
    /// What the runtime answers.
    pub fn run_to(&self, ending: Ending, name: &str, pod: &Pod) -> io::Result<String> {
        let request = RunPodSandboxRequest {
            config: Some(pod.config(name, &self.cgroup)),
            runtime_handler: handler(ending).to_owned(),
        };
        let method = "runtime.v1.RuntimeService/RunPodSandbox";
        let reply: RunPodSandboxResponse = call(&self.socket, method, &request)?;
        Ok(reply.pod_sandbox_id)
    }

    /// Stops a pod: its network is taken away.
    ///
    /// # Errors
    /// What the runtime answers.
    pub fn stop(&self, id: &str) -> io::Result<()> {
        self.end("StopPodSandbox", id)
    }

    /// Removes a pod. containerd takes its network away once more.
    ///
    /// # Errors
    /// What the runtime answers.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        self.end("RemovePodSandbox", id)
    }

    fn end(&self, method: &str, id: &str) -> io::Result<()> {
        let method = format!("runtime.v1.RuntimeService/{method}");
        let pod_sandbox_id = id.to_owned();
        let _: Empty = call(&self.socket, &method, &PodSandboxRequest { pod_sandbox_id })?;
        Ok(())
    }

    /// How a pod is.
    ///
    /// # Errors
    /// What the runtime answers, or that it does not tell of the pod's namespace.
    pub fn status(&self, id: &str) -> io::Result<Status> {
        let request = PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: true,
        };
        let method = "runtime.v1.RuntimeService/PodSandboxStatus";
        let reply: PodSandboxStatusResponse = call(&self.socket, method, &request)?;
        let info = reply.info.get("info").map_or("{}", String::as_str);
        let info: Value = serde_json::from_str(info)?;
        let netns = network_namespace(&info)
            .ok_or_else(|| io::Error::other(format!("no network namespace in {info}")))?;
        Ok(Status {
            ready: reply.status.is_some_and(|status| status.state == 0),
            netns,
            pid: info.get("pid").and_then(Value::as_u64).unwrap_or_default(),
        })
    }

    /// Whether the runtime answers.
    pub(crate) fn is_ready(&self) -> bool {
        let method = "runtime.v1.RuntimeService/Version";
        self.socket.exists() && call::<_, Empty>(&self.socket, method, &Empty {}).is_ok()
    }

    pub(crate) fn has_image(&self, name: &str) -> io::Result<bool> {
        let image = Some(ImageSpec {
            image: name.to_owned(),
        });
        let method = "runtime.v1.ImageService/ImageStatus";
        let reply: ImageStatusResponse = call(&self.socket, method, &ImageStatusRequest { image })?;
        Ok(reply.image.is_some())
    }
}

/// From the OCI specification of the pod's first container, which containerd shows.
fn network_namespace(info: &Value) -> Option<String> {
    let namespaces = info.pointer("/runtimeSpec/linux/namespaces")?.as_array()?;
    let network = namespaces
        .iter()
        .find(|namespace| namespace["type"] == "network")?;
    network["path"].as_str().map(str::to_owned)
}
