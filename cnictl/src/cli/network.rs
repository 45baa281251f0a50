//! The commands that run the plugins of a network, as a container runtime does.

use std::path::PathBuf;

use clap::Args;

/// Options of every command that runs a network's plugins.
#[derive(Debug, Args)]
pub struct Common {
    /// Directory with network configurations [default: $NETCONFPATH or /etc/cni/net.d]
    #[arg(long, value_name = "DIR")]
    pub conf_dir: Option<PathBuf>,
    /// Directories with plugins [default: $CNI_PATH or /opt/cni/bin:/usr/lib/cni]
    #[arg(long, value_name = "DIR:DIR")]
    pub path: Option<String>,
    /// Directory for the results that CHECK and DEL need, shared with libcni
    #[arg(long, value_name = "DIR", default_value = common::cache::DEFAULT_DIR)]
    pub cache_dir: PathBuf,
    /// Print every request and answer to stderr
    #[arg(long)]
    pub trace: bool,
    /// Print one JSON document, also for failures
    #[arg(long)]
    pub json: bool,
}

/// A verb about one attachment.
#[derive(Debug, Args)]
pub struct Attach {
    /// Name of a network in the configuration directory, or path of a configuration
    pub network: String,
    /// Network namespace: a name in /run/netns or a path. Optional for DEL with --container-id
    pub netns: Option<String>,
    /// Container ID [default: "cnitool-" and a hash of the namespace's path]
    #[arg(long, value_name = "ID")]
    pub container_id: Option<String>,
    /// Interface in the namespace [default: $CNI_IFNAME or eth0]
    #[arg(short, long, value_name = "NAME")]
    pub ifname: Option<String>,
    /// A pair for CNI_ARGS, after those of $CNI_ARGS; repeatable
    #[arg(long = "arg", value_name = "KEY=VALUE")]
    pub args: Vec<String>,
    /// A capability for runtimeConfig, after those of $CAP_ARGS (a JSON object); repeatable
    #[arg(long = "capability", value_name = "NAME=JSON")]
    pub capabilities: Vec<String>,
    /// Capability portMappings: a port of the host for one of the container; repeatable
    #[arg(short, long, value_name = "[IP:]HOST:CONTAINER[/PROTO]")]
    pub publish: Vec<String>,
    /// Capability bandwidth: limit for traffic to the container in bits per second (10M), and burst in bits
    #[arg(long, value_name = "RATE[:BURST]")]
    pub ingress: Option<String>,
    /// Capability bandwidth: limit for traffic from the container in bits per second (10M), and burst in bits
    #[arg(long, value_name = "RATE[:BURST]")]
    pub egress: Option<String>,
    /// Capability mac: address of the interface
    #[arg(long, value_name = "ADDRESS")]
    pub mac: Option<String>,
    /// Capability ips: address of the interface; repeatable
    #[arg(long = "ip", value_name = "ADDRESS/LENGTH")]
    pub ips: Vec<String>,
    /// Options of every verb.
    #[command(flatten)]
    pub common: Common,
}

/// `add`.
#[derive(Debug, Args)]
pub struct Add {
    /// Only print what each plugin would make: rules, elements, queues, sysctls
    #[arg(long)]
    pub dry_run: bool,
    /// The attachment.
    #[command(flatten)]
    pub attach: Attach,
}

/// A verb about the network as a whole.
#[derive(Debug, Args)]
pub struct Whole {
    /// Name of a network in the configuration directory, or path of a configuration
    pub network: String,
    /// Ignored; accepted for compatibility with cnitool
    #[arg(hide = true)]
    pub netns: Option<String>,
    /// Options of every verb.
    #[command(flatten)]
    pub common: Common,
}

/// Of `add`.
pub const ADD: &str = "\
A first network, without any plugin installed (type veth is built in):

  cat > /tmp/demo.conflist <<'EOF'
  { \"cniVersion\": \"1.0.0\", \"name\": \"demo\", \"plugins\": [
      { \"type\": \"veth\", \"addresses\": [ { \"address\": \"10.9.0.2/24\", \"gateway\": \"10.9.0.1\" } ] }
  ] }
  EOF
  ip netns add pod1
  cnictl add   /tmp/demo.conflist pod1     # prints the result; ping 10.9.0.2 now answers
  cnictl check /tmp/demo.conflist pod1
  cnictl del   /tmp/demo.conflist pod1

Examples:
  cnictl add podnet pod1
      network \"podnet\" from /etc/cni/net.d, namespace /run/netns/pod1, interface eth0
  cnictl add ./podnet.conflist /proc/4711/ns/net --container-id web --ifname net1
  cnictl add podnet pod1 --publish 8080:80 --publish '[::1]:53:5353/udp' --ingress 10M --egress 5M:1M
      a plugin gets these only if its \"capabilities\" has portMappings, bandwidth: true
  cnictl add podnet pod1 --capability 'aliases=[\"web\"]' --arg IgnoreUnknown=1 --arg K8S_POD_NAME=web
  cnictl add podnet pod1 --trace 2>trace.txt
      every request (variables and stdin) and every answer
  cnictl add podnet pod1 --publish 8080:80 --ip 10.22.0.9/16 --dry-run
      what tuning, portmap and bandwidth would make; nothing is run, and nothing is changed

If a plugin fails, the whole chain gets DEL, and nothing is stored. Requests, environment
variables and the cache are those of libcni and cnitool: what one of the tools added, the other can
check and delete.";

/// Of `check`.
pub const CHECK: &str = "\
Examples:
  cnictl check podnet pod1
  cnictl check podnet pod1 --ifname net1 --json

Plugins get the result that ADD stored. Capabilities and CNI_ARGS are those of ADD unless given again.";

/// Of `del`.
pub const DEL: &str = "\
Examples:
  cnictl del podnet pod1
  cnictl del podnet --container-id web
      the namespace is gone: plugins get an empty CNI_NETNS, as from container runtimes

DEL may be repeated. It stops at the first plugin that fails, and the result stays stored until
a DEL succeeds. Capabilities and CNI_ARGS are those of ADD unless given again.";

/// Of `status`.
pub const STATUS: &str = "\
Examples:
  cnictl status podnet
  cnictl status podnet --json

Stops at the first plugin that is not ready: code 50 means not available, 51 limited connectivity.";

/// Of `version`.
pub const VERSION: &str = "\
Examples:
  cnictl version podnet
  cnictl version podnet --json

Fails if a plugin does not support the version of the configuration.";
