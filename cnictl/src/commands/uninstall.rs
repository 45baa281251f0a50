//! `uninstall`: removes what `install` put there, by [`crate::install`].

use std::io;
use std::path::Path;

use common::{Code, Error};

use super::print;
use crate::cli::install::Uninstall;
use crate::install::{self, Done, told};
use crate::plugins::Plugin;

pub fn run(args: &Uninstall) -> Result<u8, Error> {
    let names: Vec<&str> = args.plugins.iter().map(|plugin| plugin.name()).collect();
    let done = install::restore(&args.dir, &names).map_err(install::failure)?;
    let code = print(&told(&done))?;
    let mut errors = Vec::new();
    for one in &args.plugins {
        if is_other(&args.dir, *one, &done).map_err(install::failure)? {
            let target = args.dir.join(one.name());
            let msg = format!("{} is not what install put there", target.display());
            let why = "another program replaced it, and it is left unchanged";
            errors.push(Error::new(Code::InvalidConfig, msg).with_details(why));
        }
    }
    Error::all(errors).map_or(Ok(code), Err)
}

/// Whether another program's file has the plugin's name.
fn is_other(dir: &Path, plugin: Plugin, done: &[(String, Done)]) -> io::Result<bool> {
    match done.iter().find(|(name, _)| name == plugin.name()) {
        Some((_, what)) => Ok(*what == Done::LeftAlone),
        None => Ok(install::found(&dir.join(plugin.name()))?.is_some()),
    }
}
