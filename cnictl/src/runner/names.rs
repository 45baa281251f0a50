//! The names the specification restricts: network, container, interface.
//!
//! They become parts of file names here and in plugins, so none is used unchecked.

use common::attachment::{ifname_fault, is_valid_name};
use common::error::short;

use crate::runner::{Error, Result};

/// Refuses a network's name or a container's ID that is not `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub fn check(what: &str, name: &str) -> Result<()> {
    if is_valid_name(name) {
        return Ok(());
    }
    Err(Error::Own(format!(
        "{what} {:?} must begin with a letter or digit and hold only letters, digits, '_', '.' and '-'",
        short(name)
    )))
}

/// Refuses what cannot be an attachment's.
pub fn check_attachment(container: &str, ifname: &str) -> Result<()> {
    check("container ID", container)?;
    ifname_fault(ifname).map_or(Ok(()), |fault| {
        Err(Error::Own(format!("{fault}: {:?}", short(ifname))))
    })
}
