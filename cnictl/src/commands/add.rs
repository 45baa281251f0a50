//! `add`: ADD of every plugin in order.

mod dry;

use super::note;
use super::runner::print;
use crate::cli::network::{Add, Attach};
use crate::runner::{Attachment, Network, Result, capabilities, setup};

pub fn run(args: &Add) -> Result<()> {
    let attach = &args.attach;
    let network = setup::network(&attach.common, &attach.network)?;
    let on = setup::attachment(attach, false)?;
    let unclaimed = capabilities::unclaimed(&network, &on.capabilities).into_iter();
    // A dry run takes addresses for what the main plugin would give.
    for name in unclaimed.filter(|name| !args.dry_run || *name != "ips") {
        note(&format!(
            "capability {name} is not sent to any plugin: none has \"capabilities\": \
             {{\"{name}\": true}}"
        ));
    }
    match args.dry_run {
        true => dry::run(attach, &network, &on),
        false => add(attach, &network, &on),
    }
}

fn add(attach: &Attach, network: &Network, on: &Attachment) -> Result<()> {
    let result = setup::runner(&attach.common).add(network, on)?;
    Ok(print(&format!("{result:#}"))?)
}
