//! `check`: CHECK of every plugin in order.

use super::runner::tell;
use crate::cli::network::Attach;
use crate::runner::{Result, Verb, setup};

pub fn run(attach: &Attach) -> Result<()> {
    let network = setup::network(&attach.common, &attach.network)?;
    let runner = setup::runner(&attach.common);
    let on = runner.recall(&network, setup::attachment(attach, false)?)?;
    let outcome = runner.check(&network, &on)?;
    tell(&attach.common, Verb::Check, &network.name, &outcome)
}
