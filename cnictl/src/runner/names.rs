//! The names the specification restricts: network, container, interface.
//!
//! They become parts of file names here and in plugins, so every verb checks them.

use common::attachment::{ifname_fault, is_valid_name};
use common::error::short;

use crate::runner::{Error, Result};

/// Refuses a network name that is not `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub fn check_network(name: &str) -> Result<()> {
    check("network name", name)
}

/// Refuses a container ID that is not `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub fn check_container(id: &str) -> Result<()> {
    check("container ID", id)
}

/// Refuses what the kernel would not take as the name of an interface.
pub fn check_interface(name: &str) -> Result<()> {
    ifname_fault(name).map_or(Ok(()), |fault| {
        Err(Error::Usage(format!("{fault}: {:?}", short(name))))
    })
}

fn check(what: &str, name: &str) -> Result<()> {
    if is_valid_name(name) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{what} {:?} must begin with a letter or digit and hold only letters, digits, '_', '.' and '-'",
        short(name)
    )))
}
