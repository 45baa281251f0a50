//! GC of every plugin of a network.

use crate::cli::node::Gc;
use crate::commands::runner::tell;
use crate::runner::{Error, Result, Verb, setup};

pub fn run(args: &Gc, network: &str) -> Result<()> {
    let network = setup::network(&args.common, network)?;
    let runner = setup::runner(&args.common);
    let (remembered, mut errors) = runner.cache.attachments(&network.name)?;
    // An attachment that cannot be read may be a valid one.
    if !args.valid_cached || errors.is_empty() {
        let valid = setup::valid_attachments(args, &remembered)?;
        match runner.gc(&network, &remembered, valid.as_deref()) {
            Ok(outcome) => {
                errors.extend(tell(&args.common, Verb::Gc, &network.name, &outcome).err());
            }
            Err(error) => errors.push(error),
        }
    }
    Error::join(errors)
}
