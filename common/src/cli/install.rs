//! `install` and `uninstall`: the running binary in a directory of plugins, by [`crate::install`].

use std::fs;
use std::io;
use std::path::Path;

use super::args::Args;
use super::{Command, Failure, print};
use crate::error::{Code, Context, Error};
use crate::install::{self, Done, Replaced};
use crate::plugin::Plugin;

/// The running binary, also where its file has been replaced.
const SELF: &str = "/proc/self/exe";

/// The command `install`.
pub fn install<P: Plugin>() -> Command {
    Command {
        name: "install",
        arguments: "DIR [--backup]",
        about: "copy this binary into a directory of plugins, atomically",
        options: &[(
            "--backup",
            "keep what is there under the plugin's name, for uninstall",
        )],
        run: run_install::<P>,
    }
}

/// The command `uninstall`.
pub fn uninstall<P: Plugin>() -> Command {
    Command {
        name: "uninstall",
        arguments: "DIR",
        about: "take out what install put there, and put back what it kept",
        options: &[],
        run: run_uninstall::<P>,
    }
}

fn run_install<P: Plugin>(mut args: Args) -> Result<u8, Failure> {
    let replaced = match args.flag("--backup") {
        true => Replaced::Kept,
        false => Replaced::Dropped,
    };
    let dir = args.one("the directory")?;
    let plugin = install::Plugin {
        name: P::NAME.to_owned(),
        bytes: fs::read(SELF).context(Code::Io, || format!("read {SELF}"))?,
    };
    let done = install::install(vec![plugin], Path::new(&dir), replaced).map_err(failure)?;
    print(&install::told(&done))
}

fn run_uninstall<P: Plugin>(args: Args) -> Result<u8, Failure> {
    let dir = args.one("the directory")?;
    let dir = Path::new(&dir);
    let done = install::restore(dir, Some(P::NAME)).map_err(failure)?;
    let target = dir.join(P::NAME);
    let is_other = match done.first() {
        Some((_, what)) => *what == Done::LeftAlone,
        None => target.symlink_metadata().is_ok(),
    };
    if is_other {
        let msg = format!("{} is not what install put there", target.display());
        let why = "somebody else did, and it is left as it is";
        return Err(Error::new(Code::InvalidConfig, msg)
            .with_details(why)
            .into());
    }
    print(&install::told(&done))
}

fn failure(cause: io::Error) -> Failure {
    Error::new(Code::Io, cause.to_string()).into()
}
