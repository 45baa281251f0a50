//! The messages of the CRI that are used here, with the fields that are used. Names and numbers are those
//! of `runtime.v1` in Kubernetes' `cri-api` (`pkg/apis/runtime/v1/api.proto`).

use std::collections::BTreeMap;

use prost::Message;

#[derive(Message)]
pub(crate) struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

#[derive(Message)]
pub(crate) struct PortMapping {
    /// 0 TCP, 1 UDP, 2 SCTP.
    #[prost(int32, tag = "1")]
    pub protocol: i32,
    #[prost(int32, tag = "2")]
    pub container_port: i32,
    #[prost(int32, tag = "3")]
    pub host_port: i32,
    #[prost(string, tag = "4")]
    pub host_ip: String,
}

#[derive(Message)]
pub(crate) struct LinuxPodSandboxConfig {
    #[prost(string, tag = "1")]
    pub cgroup_parent: String,
}

#[derive(Message)]
pub(crate) struct PodSandboxConfig {
    #[prost(message, tag = "1")]
    pub metadata: Option<PodSandboxMetadata>,
    #[prost(string, tag = "2")]
    pub hostname: String,
    #[prost(string, tag = "3")]
    pub log_directory: String,
    #[prost(message, repeated, tag = "5")]
    pub port_mappings: Vec<PortMapping>,
    #[prost(btree_map = "string, string", tag = "7")]
    pub annotations: BTreeMap<String, String>,
    #[prost(message, tag = "8")]
    pub linux: Option<LinuxPodSandboxConfig>,
}

#[derive(Message)]
pub(crate) struct RunPodSandboxRequest {
    #[prost(message, tag = "1")]
    pub config: Option<PodSandboxConfig>,
    #[prost(string, tag = "2")]
    pub runtime_handler: String,
}

#[derive(Message)]
pub(crate) struct RunPodSandboxResponse {
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
}

/// `StopPodSandboxRequest` and `RemovePodSandboxRequest`.
#[derive(Message)]
pub(crate) struct PodSandboxRequest {
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
}

#[derive(Message)]
pub(crate) struct PodSandboxStatusRequest {
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
    #[prost(bool, tag = "2")]
    pub verbose: bool,
}

#[derive(Message)]
pub(crate) struct PodSandboxStatus {
    /// 0 ready, 1 not ready.
    #[prost(int32, tag = "3")]
    pub state: i32,
}

#[derive(Message)]
pub(crate) struct PodSandboxStatusResponse {
    #[prost(message, tag = "1")]
    pub status: Option<PodSandboxStatus>,
    /// What the runtime likes to tell when asked to be verbose. containerd: JSON under `info`.
    #[prost(btree_map = "string, string", tag = "2")]
    pub info: BTreeMap<String, String>,
}

#[derive(Message)]
pub(crate) struct ImageSpec {
    #[prost(string, tag = "1")]
    pub image: String,
}

#[derive(Message)]
pub(crate) struct ImageStatusRequest {
    #[prost(message, tag = "1")]
    pub image: Option<ImageSpec>,
}

#[derive(Message)]
pub(crate) struct Image {
    #[prost(string, tag = "1")]
    pub id: String,
}

#[derive(Message)]
pub(crate) struct ImageStatusResponse {
    #[prost(message, tag = "1")]
    pub image: Option<Image>,
}

#[derive(Message)]
pub(crate) struct Empty {}
