//! Whether ADD could work.

use common::Family;
use common::error::{Code, Error};
use nft::socket::Nft;

use super::{conditions, probe};
use crate::config::Config;

/// Whether ADD could work: the kernel takes our table, and `nft` the configuration's conditions.
///
/// # Errors
/// Code 50 with everything that is missing; code 7 for words that are not conditions.
pub fn status(config: &Config) -> Result<(), Error> {
    let unavailable = |details: String| {
        let msg = "the nftables backend cannot be used on this node";
        Err(Error::new(Code::NotAvailable, msg).with_details(details))
    };
    let mut nft = Nft::open()?;
    if let Err(error) = nft.generation() {
        return unavailable(error.to_string());
    }
    let mut missing = Vec::new();
    for family in Family::ALL {
        missing.extend(probe::missing(&mut nft, family)?);
    }
    let conditional = Family::ALL.map(|family| (family, config.conditions(family)));
    for (family, words) in conditional.iter().filter(|(_, words)| !words.is_empty()) {
        match conditions::compile(*family, words) {
            Err(error) if error.code == Code::InvalidConfig => return Err(error),
            outcome => missing.extend(outcome.err().map(|error| error.to_string())),
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => unavailable(missing.join("; ")),
    }
}
