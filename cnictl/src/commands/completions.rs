//! `completions`: for shells, from the command line's definition.

use common::Error;

use super::print;
use crate::cli::Cli;
use crate::cli::install::Completions;

pub fn run(args: &Completions) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::definition(), "cnictl", &mut script);
    print(&String::from_utf8_lossy(&script))
}
