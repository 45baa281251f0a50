//! Real container runtimes, each on a machine of its own, that call the plugins as they do on a node.
//!
//! The programs are Debian's; the image is made of its static busybox, so nothing needs a network.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`machine`] | [`Machine`]: a private network, file system and process tree |
//! | [`chain`] | the network configuration: bridge, then our three plugins |
//! | [`image`] | a container that serves a web page |
//! | [`containerd`] | [`Containerd`]: the daemon |
//! | [`cri`] | [`cri::Client`]: pods, as the kubelet makes them |
//! | [`daemon`] | a daemon's log and its end |
//! | [`kubelet`] | [`kubelet::Kubelet`]: a node with kubelet, over dockershim or containerd |
//! | [`trouble`] | plugins that refuse or dawdle when the test says so |
//! | [`podman`] | [`podman::Podman`]: containers with published ports |
//! | [`debian`] | [`debian::Debian`]: a node that systemd has booted |
//! | [`leftovers`] | what a runtime and the plugins left behind |
//! | [`record`] | keeps what the runtime sent, for testdata/captures |
//!
//! The plugins are those of `sandbox::plugin::directory`: ours, or those in `$CNI_BIN`.

mod cgroup;
pub mod chain;
pub mod containerd;
pub mod cri;
pub mod daemon;
pub mod debian;
mod docker;
mod grpc;
pub mod image;
pub mod kubelet;
pub mod leftovers;
pub mod machine;
pub mod manifest;
mod messages;
pub mod podman;
pub mod record;
pub mod trouble;

pub use containerd::Containerd;
pub use machine::Machine;
