//! The commands that put the plugins on a node, and what comes with the program.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::plugins::Plugin;

/// `install`.
#[derive(Debug, Args)]
pub struct Install {
    /// The directory of plugins that runtimes use, such as /opt/cni/bin
    pub dir: PathBuf,
    /// Keep what is there under the plugins' names, for uninstall
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
    /// The directory of plugins that runtimes use, such as /opt/cni/bin
    pub dir: PathBuf,
    /// This plugin only; repeatable
    #[arg(long = "plugin", value_name = "NAME")]
    pub plugins: Vec<Plugin>,
}

/// Of `uninstall`.
pub const UNINSTALL: &str = "\
A plugin that somebody else has put there since is left alone; that is a failure where --plugin names it.
Success where nothing is left to do.";

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
