//! The command line and its help: completions and manual pages are made from it, too. Defaults that are
//! in the environment are applied in [`crate::runner::setup`].

pub mod install;
pub mod network;
pub mod node;
pub mod table;
pub mod value;

use clap::{CommandFactory, Parser, Subcommand};

use install::{Completions, Install, Manual, Uninstall};
use network::{Add, Attach, Whole};
use node::{
    Doctor, Explain, Follow, Gc, Limit, Limits, Lint, Metrics, Ports, Reconcile, Sysctls, Who,
};

/// Run CNI networks; inspect, repair and install tuning, portmap and bandwidth
#[derive(Debug, Parser)]
#[command(
    name = "cnictl",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    help_template = OVERVIEW,
    after_help = EXIT_CODES
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The whole definition.
    pub fn definition() -> clap::Command {
        Cli::command()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attach a namespace to a network: ADD for every plugin in order
    #[command(after_help = network::ADD, override_usage = "cnictl add [OPTIONS] NETWORK NETNS")]
    Add(Add),
    /// Check that an attachment is still as ADD left it
    #[command(after_help = network::CHECK, override_usage = "cnictl check [OPTIONS] NETWORK NETNS")]
    Check(Attach),
    /// Detach a namespace: DEL for every plugin in reverse order
    #[command(after_help = network::DEL)]
    Del(Attach),
    /// Remove what belongs to attachments that are gone
    #[command(after_help = node::GC)]
    Gc(Gc),
    /// Check that every plugin of a network is ready for ADD
    #[command(after_help = network::STATUS)]
    Status(Whole),
    /// Show which spec versions the plugins of a network support
    #[command(after_help = network::VERSION)]
    Version(Whole),
    /// Show every host port, its owner, and what is missing or shadowed
    Ports(Ports),
    /// Show every limit, what was sent and dropped, and what is missing
    Limits(Limits),
    /// Change the limit of a running pod
    #[command(after_help = node::LIMIT)]
    Limit(Limit),
    /// Show what tuning changed, from what, and what is missing
    Sysctls(Sysctls),
    /// Show which containers and which processes of the node have a port
    Who(Who),
    /// Find what is wrong with this node
    #[command(after_help = node::DOCTOR)]
    Doctor(Doctor),
    /// Find out why a host port does not answer, station by station
    #[command(after_help = node::EXPLAIN)]
    Explain(Explain),
    /// Print metrics of this node as OpenMetrics text, for node_exporter
    #[command(after_help = node::METRICS)]
    Metrics(Metrics),
    /// Re-apply every attachment of the runtime's cache that has drifted
    #[command(after_help = node::RECONCILE)]
    Reconcile(Reconcile),
    /// Repair host ports and limits as soon as something changes them
    #[command(after_help = node::FOLLOW)]
    Follow(Follow),
    /// Find mistakes in a configuration before a pod does
    #[command(after_help = node::LINT)]
    Lint(Lint),
    /// Install the plugins into a runtime's plugin directory
    Install(Install),
    /// Remove what install put there, and restore what it kept
    #[command(after_help = install::UNINSTALL)]
    Uninstall(Uninstall),
    /// Print completions for a shell
    Completions(Completions),
    /// Wait for SIGTERM or SIGINT: pods of a DaemonSet must keep running
    #[command(hide = true)]
    Wait,
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(Manual),
}

impl Command {
    /// Whether a failure is to be a document, too. The verbs of a network print their own.
    pub fn is_json(&self) -> bool {
        match self {
            Command::Ports(args) => args.chosen.shown.json,
            Command::Limits(args) => args.chosen.shown.json,
            Command::Sysctls(args) => args.chosen.shown.json,
            Command::Who(args) => args.shown.json,
            Command::Reconcile(args) => args.shown.json,
            Command::Doctor(args) => args.shown.json,
            Command::Explain(args) => args.shown.json,
            Command::Lint(args) => args.json,
            Command::Gc(args) => args.common.json,
            _ => false,
        }
    }
}

/// Every command on one screen.
const OVERVIEW: &str = "\
{about}
Usage: {usage}; --help (of a command, too), --version
{subcommands}{after-help}";

const EXIT_CODES: &str = "\
Exit code: 0 success, 1 failure, 2 usage error, 10 drift (reconcile)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::definition().debug_assert();
    }

    #[test]
    fn every_command_is_on_one_screen() {
        let help = Cli::definition().render_long_help().to_string();
        assert!(help.lines().count() <= 24, "{help}");
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
    }

    #[test]
    fn every_example_of_the_help_can_be_parsed() {
        let definition = Cli::definition();
        let helps = definition
            .get_subcommands()
            .filter_map(|c| c.get_after_help());
        let helps: String = helps.map(|help| format!("{help}\n")).collect();
        let examples = helps
            .lines()
            .filter_map(|line| line.strip_prefix("  cnictl "));
        let mut count = 0;
        for example in examples {
            let example = example.split(" #").next().unwrap();
            let example = example.split(" 2>").next().unwrap();
            let words = example.split_whitespace();
            let words = words.map(|word| word.trim_matches('\''));
            let parsed = Cli::try_parse_from(std::iter::once("cnictl").chain(words));
            assert!(parsed.is_ok(), "{example}: {parsed:?}");
            count += 1;
        }
        assert!(count > 15, "{count}");
    }
}
