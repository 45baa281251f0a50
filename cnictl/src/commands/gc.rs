//! `gc`: GC of every plugin of a network.

use super::{runner, tell};
use crate::cli::Gc;
use crate::runner::{Result, Verb, setup};

pub fn run(args: &Gc) -> Result<()> {
    let network = setup::network(&args.common, &args.network)?;
    let runner = runner(&args.common);
    let valid = setup::valid_attachments(args, &network, &runner.cache)?;
    let outcome = runner.gc(&network, valid.as_deref())?;
    tell(&args.common, Verb::Gc, &network.name, &outcome);
    Ok(())
}
