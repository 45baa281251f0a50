//! Network namespaces, links, traffic and state snapshots for tests, the demo and the benches.
//!
//! Everything lives in fresh namespaces and goes away when its value is dropped; the machine's own
//! namespace is never touched, so tests run in parallel threads of one process. Needs root, or a user
//! namespace: see [`userns`].
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`namespace`] | [`Namespace`]: a network namespace, code and commands run inside it, sysctls |
//! | [`topology`] | [`Topology`]: a host, its containers, a client and a server outside |
//! | [`executable`] | programs that a test writes and that are executed then |
//! | [`plugin`] | [`plugin::Call`]: one execution of a CNI plugin, and where our binaries are |
//! | [`api`] | as much of the Kubernetes API as kube-proxy reads |
//! | [`probe`] | TCP, UDP, SCTP, HTTP exchanges and throughput between namespaces |
//! | [`snapshot`] | [`Snapshot`]: the kernel's state as plain data, and what differs between two |
//! | [`wait`] | [`wait_until`]: wait for a condition, never for a time |
//! | [`userns`] | the same without root |
//!
//! ```no_run
//! use sandbox::{Snapshot, Topology, plugin::Call, probe::tcp};
//!
//! let net = Topology::new().client().build()?;
//! let (host, pod) = (&net.host, &net.containers[0]);
//! let before = Snapshot::take(host)?;
//! let request = r#"{"cniVersion": "1.0.0", "name": "net1", "type": "portmap"}"#;
//! let call = |verb| Call::new("portmap", verb).netns(pod).stdin(request).run(host);
//! assert_eq!(call("ADD")?.code, Some(0));
//! let _web = tcp::Server::start(pod, 80, "web")?;
//! assert_eq!(tcp::exchange(net.client(), host.v4(8080)).server(), Some("web"));
//! assert_eq!(call("DEL")?.code, Some(0));
//! assert_eq!(before.diff(&Snapshot::take(host)?), Vec::<String>::new());
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod api;
pub mod executable;
mod link;
pub mod namespace;
pub mod plugin;
pub mod probe;
pub mod snapshot;
pub mod topology;
pub mod userns;
pub mod wait;

pub use namespace::Namespace;
pub use snapshot::Snapshot;
pub use topology::{Node, Topology};
pub use wait::wait_until;
