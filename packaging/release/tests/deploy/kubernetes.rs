//! The objects of Kubernetes' API as far as the manifests use them: a field that is not in the API, is
//! written wrong or has a value of another type does not fit. After
//! <https://kubernetes.io/docs/reference/kubernetes-api/>, `apps/v1` and `v1`.
#![allow(dead_code, reason = "fields are there to be matched")]

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Object {
    DaemonSet(Box<DaemonSet>),
    Namespace(Namespace),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSet {
    pub api_version: Apps,
    pub metadata: Metadata,
    pub spec: DaemonSetSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespace {
    pub api_version: Core,
    pub metadata: Metadata,
}

#[derive(Deserialize)]
pub enum Apps {
    #[serde(rename = "apps/v1")]
    V1,
}

#[derive(Deserialize)]
pub enum Core {
    #[serde(rename = "v1")]
    V1,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    pub name: Option<String>,
    pub namespace: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DaemonSetSpec {
    pub selector: Selector,
    pub update_strategy: UpdateStrategy,
    pub min_ready_seconds: u32,
    pub template: Template,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    pub match_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum UpdateStrategy {
    RollingUpdate { rolling_update: RollingUpdate },
    OnDelete {},
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollingUpdate {
    pub max_unavailable: u32,
    pub max_surge: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub metadata: Metadata,
    pub spec: PodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSpec {
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    pub priority_class_name: Option<String>,
    #[serde(default)]
    pub host_network: bool,
    pub automount_service_account_token: Option<bool>,
    pub enable_service_links: Option<bool>,
    pub termination_grace_period_seconds: Option<u32>,
    pub security_context: Option<PodSecurityContext>,
    #[serde(default)]
    pub init_containers: Vec<Container>,
    pub containers: Vec<Container>,
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toleration {
    pub key: Option<String>,
    pub operator: Operator,
    pub effect: Option<String>,
}

#[derive(Deserialize)]
pub enum Operator {
    Exists,
    Equal,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurityContext {
    pub seccomp_profile: SeccompProfile,
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum SeccompProfile {
    RuntimeDefault {},
    Unconfined {},
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    pub name: String,
    pub image: String,
    #[serde(default)]
    pub args: Vec<String>,
    pub security_context: SecurityContext,
    pub resources: Resources,
    #[serde(default)]
    pub volume_mounts: Vec<VolumeMount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurityContext {
    pub run_as_user: Option<u32>,
    pub run_as_group: Option<u32>,
    pub run_as_non_root: Option<bool>,
    pub allow_privilege_escalation: Option<bool>,
    pub read_only_root_filesystem: Option<bool>,
    pub capabilities: Option<Capabilities>,
    pub se_linux_options: Option<SeLinuxOptions>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    #[serde(default)]
    pub add: Vec<String>,
    #[serde(default)]
    pub drop: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeLinuxOptions {
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    pub requests: BTreeMap<Resource, String>,
    pub limits: BTreeMap<Resource, String>,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    Cpu,
    Memory,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    pub name: String,
    pub mount_path: String,
    pub mount_propagation: Option<MountPropagation>,
    #[serde(default)]
    pub read_only: bool,
}

#[derive(Deserialize)]
pub enum MountPropagation {
    None,
    HostToContainer,
    Bidirectional,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    pub name: String,
    pub host_path: HostPath,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPath {
    pub path: String,
    #[serde(rename = "type")]
    pub kind: HostPathType,
}

#[derive(Deserialize)]
pub enum HostPathType {
    Directory,
    DirectoryOrCreate,
    FileOrCreate,
}

/// Whether a name is one of RFC 1123's labels, as the API wants it of objects, containers and volumes.
pub fn is_label(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..64).contains(&name.len())
        && name.chars().all(is_plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether a text is a quantity: a number with one of the suffixes for thousandths or powers of 1024.
pub fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    digits.parse::<u64>().is_ok() && ["", "m", "Ki", "Mi", "Gi"].contains(&&text[digits.len()..])
}
