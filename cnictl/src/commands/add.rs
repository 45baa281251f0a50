//! `add`: ADD of every plugin in order.

use super::note;
use super::runner::{print, runner};
use crate::cli::network::Attach;
use crate::runner::{Result, capabilities, setup};

pub fn run(attach: &Attach) -> Result<()> {
    let network = setup::network(&attach.common, &attach.network)?;
    let on = setup::attachment(attach, false)?;
    for name in capabilities::unclaimed(&network, &on.capabilities) {
        note(&format!(
            "capability {name} goes to no plugin: none has \"capabilities\": {{\"{name}\": true}}"
        ));
    }
    let result = runner(&attach.common).add(&network, &on)?;
    print(&format!("{result:#}"));
    Ok(())
}
