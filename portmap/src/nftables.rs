//! The nftables backend: one table per family, changed over netlink without the `nft` program.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`layout`], [`set`], [`parts`] | the table: its chains and rules, its sets, what rules are made of |
//! | [`wanted`], [`private`] | what one attachment wants: claims on host ports, or with conditions a chain |
//! | [`queue`], [`elements`] | all claims on a host port, and the elements that they become |
//! | [`owner`] | whose an element or rule is, in its comment |
//! | [`shared`], [`claim`] | both compared with what is there: what differs, and what makes up for it |
//! | [`conditions`], [`compiled`] | the conditions of an attachment, compiled by `nft` and judged |
//! | [`conditional`] | the rules of an attachment with conditions |
//! | [`reference`](mod@reference) | what the reference's nftables backend left |
//! | [`list`](mod@list) | every host port, for the operators' commands |
//! | [`probe`] | what the kernel lacks |
//! | [`undo`] | taking an ADD back |
//! | [`translation`] | the connections that end with what is removed |
//! | [`command`], [`socket`] | one change; all changes of a verb in one batch |
//! | [`object`], [`expr`], [`uapi`], [`family`] | the kernel's objects, typed |
//!
//! The layout as nft prints it is in docs/nftables.md.

mod add;
mod check;
mod claim;
mod conditional;
mod conditions;
mod elements;
#[cfg(fuzzing)]
pub mod fuzzed;
pub mod layout;
mod list;
mod owner;
pub mod private;
mod probe;
mod queue;
pub mod reference;
mod remove;
mod set;
mod shared;
pub mod transaction;
mod translation;
mod undo;
mod wanted;

pub use add::{Added, add};
pub use check::check;
pub use claim::Taken;
pub use list::list;
pub use remove::{del, gc};

use common::Family;
use common::error::{Code, Error};
use nft::socket::Nft;

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

/// What to say when a family's table cannot be read.
fn unreadable(family: Family, refusal: common::sys::netlink::Refusal) -> Error {
    let name = shared::table_name(family);
    Error::new(Code::System, format!("read {name}")).with_details(refusal)
}
