//! The commands that look at this node and what the plugins made on it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::table::{Chosen, LIMITS, PORTS, SYSCTLS, Shown, Watched};
use super::value::{Rate, Wanted, network_name, rate, wanted};
use crate::plugins::Plugin;

/// How long a runtime may take for the rest of an ADD or DEL, in seconds: its cache says what became
/// of an attachment only after the last plugin of the chain.
const GRACE: u64 = 10;

/// `ports`.
#[derive(Debug, Args)]
pub struct Ports {
    /// Show only this host port, such as 8080 or 8080/tcp
    #[arg(long, value_name = "PORT[/PROTOCOL]", value_parser = wanted)]
    pub port: Option<Wanted>,
    /// How often.
    #[command(flatten)]
    pub watched: Watched,
    /// Sort by a column: numbers descending, text ascending
    #[arg(long, value_name = "COLUMN", ignore_case = true, value_parser = PORTS)]
    pub sort: Option<String>,
    /// Which rows.
    #[command(flatten)]
    pub chosen: Chosen,
}

/// `limits`.
#[derive(Debug, Args)]
pub struct Limits {
    /// How often.
    #[command(flatten)]
    pub watched: Watched,
    /// Sort by a column: numbers descending, text ascending
    #[arg(long, value_name = "COLUMN", ignore_case = true, value_parser = LIMITS)]
    pub sort: Option<String>,
    /// Which rows.
    #[command(flatten)]
    pub chosen: Chosen,
}

/// `limit`.
#[derive(Debug, Args)]
pub struct Limit {
    /// A pod, or a container's ID
    #[arg(value_name = "[NAMESPACE/]POD")]
    pub pod: String,
    /// Towards the container, in bits per second (20M), or none; and burst in bits
    #[arg(long, value_name = "RATE[:BURST]", value_parser = rate, required_unless_present = "egress")]
    pub ingress: Option<Rate>,
    /// From the container, in bits per second (20M), or none; and burst in bits
    #[arg(long, value_name = "RATE[:BURST]", value_parser = rate)]
    pub egress: Option<Rate>,
    /// The attachment to this network
    #[arg(long, value_name = "NAME", value_parser = network_name)]
    pub network: Option<String>,
    /// libcni's cache
    #[arg(long, value_name = "DIR", default_value = common::cache::DEFAULT_DIR)]
    pub cache_dir: PathBuf,
}

/// `sysctls`.
#[derive(Debug, Args)]
pub struct Sysctls {
    /// Directory of tuning's backups; repeatable [default: all configured]
    #[arg(long = "data-dir", value_name = "DIR")]
    pub data_dirs: Vec<PathBuf>,
    /// Sort by a column: numbers descending, text ascending
    #[arg(long, value_name = "COLUMN", ignore_case = true, value_parser = SYSCTLS)]
    pub sort: Option<String>,
    /// Which rows.
    #[command(flatten)]
    pub chosen: Chosen,
}

/// `who`.
#[derive(Debug, Args)]
pub struct Who {
    /// A port of the node, such as 8080 or 8080/tcp
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = wanted)]
    pub port: Wanted,
    /// Options of every table.
    #[command(flatten)]
    pub shown: Shown,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Directory with network configurations [default: $NETCONFPATH or /etc/cni/net.d]
    #[arg(long, value_name = "DIR")]
    pub conf_dir: Option<PathBuf>,
    /// Directories with plugins [default: $CNI_PATH or /opt/cni/bin:/usr/lib/cni]
    #[arg(long, value_name = "DIR:DIR")]
    pub path: Option<String>,
    /// Options of every table.
    #[command(flatten)]
    pub shown: Shown,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A port of the node, such as 8080 or 8080/tcp
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = wanted)]
    pub port: Wanted,
    /// The sender: an address outside, or one of this node
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<IpAddr>,
    /// Open one TCP connection, after all stations
    #[arg(long)]
    pub probe: bool,
    /// Options of every table.
    #[command(flatten)]
    pub shown: Shown,
}

/// `reconcile`.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// Only report what has drifted
    #[arg(long)]
    pub dry_run: bool,
    /// Apply the configurations in this directory instead of those in the cache
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// How long to wait for a concurrent DEL
    #[arg(long, value_name = "SECONDS", default_value_t = GRACE)]
    pub grace: u64,
    /// This plugin only; repeatable
    #[arg(long = "plugin", value_name = "NAME")]
    pub plugins: Vec<Plugin>,
    /// Also show attachments that are in order, and every difference in full
    #[arg(long)]
    pub verbose: bool,
    /// Where to record what was done, for metrics
    #[arg(long, value_name = "DIR", default_value = crate::record::DEFAULT_DIR)]
    pub state_dir: PathBuf,
    /// Options of every table.
    #[command(flatten)]
    pub shown: Shown,
}

/// `metrics`.
#[derive(Debug, Args)]
pub struct Metrics {
    /// Write this file, atomically, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// libcni's cache
    #[arg(long, value_name = "DIR", default_value = common::cache::DEFAULT_DIR)]
    pub cache_dir: PathBuf,
    /// Where reconcile and follow record what they did
    #[arg(long, value_name = "DIR", default_value = crate::record::DEFAULT_DIR)]
    pub state_dir: PathBuf,
}

/// `follow`.
#[derive(Debug, Args)]
pub struct Follow {
    /// Apply the configurations in this directory instead of those in the cache
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// libcni's cache
    #[arg(long, value_name = "DIR", default_value = common::cache::DEFAULT_DIR)]
    pub cache_dir: PathBuf,
    /// Where to record what was repaired, for metrics
    #[arg(long, value_name = "DIR", default_value = crate::record::DEFAULT_DIR)]
    pub state_dir: PathBuf,
    /// How long to wait for a concurrent ADD or DEL
    #[arg(long, value_name = "SECONDS", default_value_t = GRACE)]
    pub grace: u64,
    /// This plugin only; repeatable
    #[arg(long = "plugin", value_name = "NAME")]
    pub plugins: Vec<Plugin>,
}

/// `lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// A configuration, or a directory of them
    #[arg(value_name = "FILE|DIRECTORY")]
    pub path: PathBuf,
    /// Print one JSON document, for programs
    #[arg(long)]
    pub json: bool,
}

/// `gc`, of this node or of a network.
#[derive(Debug, Args)]
pub struct Gc {
    /// Run the verb GC of this network: its name in the configuration directory, or path
    pub network: Option<String>,
    /// Ignored; accepted for compatibility with cnitool
    #[arg(hide = true)]
    pub netns: Option<String>,
    /// Without NETWORK: only report what would be removed
    #[arg(long, conflicts_with = "network")]
    pub dry_run: bool,
    /// Without NETWORK: also leftovers of this network, which the cache does not have; repeatable
    #[arg(long = "network", value_name = "NAME", conflicts_with = "network", value_parser = network_name)]
    pub networks: Vec<String>,
    /// Without NETWORK: also remove attachments in the cache whose pods are gone according to the kubelet's
    /// directory of pods, such as /var/lib/kubelet/pods
    #[arg(long, value_name = "DIR", conflicts_with = "network")]
    pub kubelet_pods: Option<PathBuf>,
    /// Without NETWORK: how long an attachment must be absent from the cache
    #[arg(long, value_name = "SECONDS", default_value_t = GRACE, conflicts_with = "network")]
    pub grace: u64,
    /// Without NETWORK: this plugin only; repeatable
    #[arg(long = "plugin", value_name = "NAME", conflicts_with = "network")]
    pub plugins: Vec<Plugin>,
    /// With NETWORK: an attachment that is still valid; repeatable
    #[arg(long, value_name = "CONTAINER/IFNAME", requires = "network")]
    pub valid: Vec<String>,
    /// With NETWORK: all attachments in the cache whose namespace still exists, or is not known, are
    /// valid
    #[arg(long, requires = "network")]
    pub valid_cached: bool,
    /// With NETWORK: no attachment is valid: plugins get an empty list
    #[arg(long, requires = "network", conflicts_with_all = ["valid", "valid_cached"])]
    pub none_valid: bool,
    /// Options of every command that runs a network's plugins.
    #[command(flatten)]
    pub common: super::network::Common,
}

/// Of `reconcile`.
pub const RECONCILE: &str = "\
Exit code: 0 everything in order, 10 something had drifted, 1 something could not be read or repaired.";

/// Of `doctor`.
pub const DOCTOR: &str = "\
Prints one line for each finding: ok, warning or error, what it means, and what to run. Parts of the
kernel are tried in a temporary network namespace; nothing on the node is changed. A check that cannot be
made is an error itself.

Exit code: 0 no error was found, 1 an error was found.";

/// Of `explain`.
pub const EXPLAIN: &str = "\
Examples:
  cnictl explain 8080
  cnictl explain 8080/tcp --from 203.0.113.7
  cnictl explain 8080/tcp --from 127.0.0.1 --probe

Prints one line for each station of a packet, up to the first broken one, which is the answer. Changes
nothing, and sends nothing unless --probe is given. What cannot be judged is called unknown.

Exit code: 0 no station is broken, 1 one is.";

/// Of `limit`.
pub const LIMIT: &str = "\
Examples:
  cnictl limit shop/web --ingress 20M
      the other direction stays as it is
  cnictl limit web --ingress none --egress 5M:1M

The limit is changed in place; connections continue. The runtime does not know about the change: the
next reconcile of bandwidth restores what the runtime requested, follow does so at once, and a new pod
gets what the runtime requests. reconcile --config-dir also removes a limit that it did not request.";

/// Of `metrics`.
pub const METRICS: &str = "\
Examples:
  cnictl metrics
  cnictl metrics --output /var/lib/node_exporter/cni.prom
      for node_exporter's textfile collector, run by a timer; no port is opened

What cannot be read is missing, is counted in cni_metrics_errors and reported on stderr, and the exit
code is 1. If the runtime's cache cannot be read at all, nothing is written.";

/// Of `follow`.
pub const FOLLOW: &str = "\
It listens to the kernel's notifications about nf_tables, qdiscs, filters and links in its own network
namespace, and checks the tables of the legacy iptables, if there are any, twice a second. It repairs
drift within a second after the last change, and prints what was repaired and which program made the
change. SIGHUP: check everything now. SIGTERM: exit with code 0.";

/// Of `lint`.
pub const LINT: &str = "\
Examples:
  cnictl lint /etc/cni/net.d
  cnictl lint 10-podnet.conflist

An error is something that a runtime or ADD refuses; a warning is something that they accept, but that
does not do what it seems to. The node itself is not inspected.

Exit code: 0 no findings, 1 findings, or something could not be read.";

/// Of `gc`.
pub const GC: &str = "\
Examples:
  cnictl gc
      remove from this node what no attachment of the runtime's cache owns
  cnictl gc podnet --valid-cached
      GC of a network; keep every attachment whose namespace still exists
  cnictl gc podnet --valid web/eth0 --valid web/net1
  cnictl gc podnet --none-valid
  cnictl gc podnet
      as cnitool: DEL for every attachment in the cache, and plugins get no list

With NETWORK, attachments in the cache that are not valid get DEL first (any version); then every
plugin gets GC (cniVersion 1.1.0 and later). \"disableGC\": true in the configuration switches both off.";
