//! `status`: STATUS of every plugin in order.

use super::runner::tell;
use crate::cli::network::Whole;
use crate::runner::{Result, Verb, setup};

pub fn run(whole: &Whole) -> Result<()> {
    let network = setup::network(&whole.common, &whole.network)?;
    let outcome = setup::runner(&whole.common).status(&network)?;
    tell(&whole.common, Verb::Status, &network.name, &outcome)
}
