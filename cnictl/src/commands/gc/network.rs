//! GC of every plugin of a network.

use crate::cli::node::Gc;
use crate::commands::runner::{runner, tell};
use crate::runner::{Result, Verb, setup};

pub fn run(args: &Gc, network: &str) -> Result<()> {
    let network = setup::network(&args.common, network)?;
    let runner = runner(&args.common);
    let valid = setup::valid_attachments(args, &network, &runner.cache)?;
    let outcome = runner.gc(&network, valid.as_deref())?;
    tell(&args.common, Verb::Gc, &network.name, &outcome);
    Ok(())
}
