//! `del`: DEL of every plugin in reverse order.

use super::note;
use super::runner::tell;
use crate::cli::network::Attach;
use crate::runner::chain::Outcome;
use crate::runner::{Result, Verb, setup};

pub fn run(attach: &Attach) -> Result<()> {
    let network = setup::network(&attach.common, &attach.network)?;
    let runner = setup::runner(&attach.common);
    let given = setup::attachment(attach, true)?;
    let on = runner.recall(&network, given.clone());
    let on = on.unwrap_or_else(|error| {
        // What cannot be read must not block DEL for ever.
        note(&format!(
            "cnictl: warning: DEL continues without it: {error}"
        ));
        given
    });
    runner.del(&network, &on)?;
    tell(&attach.common, Verb::Del, &network.name, &Outcome::Done)
}
