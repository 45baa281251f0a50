//! `man`: the manual pages, from the command line's definition; a release is made with it.

use std::{fs, io};

use clap_mangen::Man;
use common::{Code, Context, Error};

use super::DONE;
use crate::cli::Cli;
use crate::cli::install::Manual;

pub fn run(args: &Manual) -> Result<u8, Error> {
    let mut definition = Cli::definition();
    definition.build();
    let shown = definition
        .get_subcommands()
        .filter(|one| !one.is_hide_set());
    for command in shown.chain([&definition]) {
        // `cnictl add` has the page cnictl-add.
        let name = command.get_display_name().unwrap_or("cnictl");
        let path = args.dir.join(format!("{name}.8"));
        let write = || fs::write(&path, page(command.clone())?);
        write().context(Code::Io, || format!("write {}", path.display()))?;
    }
    Ok(DONE)
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("CNI meta plugins ", env!("CARGO_PKG_VERSION"));
    Man::new(command)
        .section("8")
        .source(source)
        .manual("CNI")
        .render(&mut page)?;
    Ok(page)
}
