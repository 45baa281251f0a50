//! Options of commands with a table.

use std::path::PathBuf;

use clap::Args;

use super::value::network_name;

/// Options of every command with a table.
#[derive(Debug, Args)]
pub struct Shown {
    /// libcni's cache
    #[arg(long, value_name = "DIR", default_value = common::cache::DEFAULT_DIR)]
    pub cache_dir: PathBuf,
    /// Print one JSON document, for programs
    #[arg(long)]
    pub json: bool,
}

/// How often a table is shown.
#[derive(Debug, Args)]
pub struct Watched {
    /// Refresh every 2 (or SECONDS) seconds, with current rates
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub watch: Option<u64>,
}

/// Which rows of a table are shown.
#[derive(Debug, Args)]
pub struct Chosen {
    /// Show only this pod
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub pod: Option<String>,
    /// Show only this network
    #[arg(long, value_name = "NAME", value_parser = network_name)]
    pub network: Option<String>,
    /// Options of every table.
    #[command(flatten)]
    pub shown: Shown,
}

/// The columns of `ports`.
pub const PORTS: [&str; 11] = [
    "host",
    "to",
    "pod",
    "network",
    "container",
    "if",
    "state",
    "now",
    "backend",
    "packets",
    "bytes",
];
/// The columns of `limits`.
pub const LIMITS: [&str; 14] = [
    "link",
    "direction",
    "pod",
    "network",
    "container",
    "if",
    "state",
    "now",
    "rate",
    "burst",
    "latency",
    "dropped",
    "sent",
    "overlimits",
];
/// The columns of `sysctls`.
pub const SYSCTLS: [&str; 9] = [
    "pod",
    "network",
    "container",
    "if",
    "changed",
    "wanted",
    "before",
    "now",
    "state",
];
