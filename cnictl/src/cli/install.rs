//! The commands that put the plugins on a node, and what comes with the program.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::plugins::Plugin;

/// `install`.
#[derive(Debug, Args)]
pub struct Install {
    /// Plugin directory of the runtime, such as /opt/cni/bin
    pub dir: PathBuf,
    /// Keep the files that are replaced, for uninstall
    #[arg(long)]
    pub backup: bool,
    /// This plugin only; repeatable
    #[arg(long = "plugin", value_name = "NAME")]
    pub plugins: Vec<Plugin>,
    /// Where the plugins are [default: the directory plugins beside this program, or its own]
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
}

/// `uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Plugin directory of the runtime, such as /opt/cni/bin
    pub dir: PathBuf,
    /// This plugin only; repeatable
    #[arg(long = "plugin", value_name = "NAME")]
    pub plugins: Vec<Plugin>,
}

/// Of `uninstall`.
pub const UNINSTALL: &str = "\
A plugin that another program has put there since is left alone; that is a failure if --plugin names it.
Succeeds if there is nothing left to do.";

/// `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct Manual {
    /// An existing directory
    pub dir: PathBuf,
}
