//! `cnictl`, the operators' tool. Called by the name `veth`, it is the built-in main plugin.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cnictl::cli::Cli;
use cnictl::{commands, veth};

#[global_allocator]
static ALLOCATOR: common::Allocator = common::Allocator;

fn main() -> ExitCode {
    let called = std::env::args_os().next();
    let name = called.as_deref().map(Path::new).and_then(Path::file_name);
    match name.is_some_and(|name| name == veth::NAME) {
        true => veth::main(),
        false => match Cli::try_parse() {
            Ok(cli) => commands::run(&cli),
            Err(error) => commands::refuse(error),
        },
    }
}
