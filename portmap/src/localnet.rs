//! `route_localnet` on the interface towards the container: without it the kernel drops what the node
//! sends to a container from a loopback address. What opens with it for others is closed by each
//! backend's guard, in the same step as the rules.

use std::io;
use std::net::IpAddr;

use common::Drift;
use common::error::{Code, Context, Error};
use common::log::Log;
use common::sys::sysctl;

use crate::address::interface_towards;

/// Switches it on, and gives the interface on which it was off; without a route to the container there
/// is nothing to switch.
///
/// # Errors
/// Code 100 when the kernel refuses. A read-only /proc is only worth a warning: everything but
/// loopback addresses works without.
pub fn enable(container: IpAddr, log: &Log) -> Result<Option<String>, Error> {
    let Some((interface, path)) = switch(container)? else {
        return Ok(None);
    };
    if sysctl::read(&path).is_ok_and(|value| value == "1") {
        return Ok(None);
    }
    match sysctl::write(&path, "1") {
        Err(cause) if cause.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            log.warn(format!(
                "{} is read-only: mapped ports do not work on 127.0.0.1",
                path.display()
            ));
            Ok(None)
        }
        other => {
            other.context(Code::System, || {
                format!("set route_localnet=1 on {interface}")
            })?;
            Ok(Some(interface))
        }
    }
}

/// Whether it is still on.
///
/// # Errors
/// Code 100 when it cannot be found out.
pub fn check(container: IpAddr) -> Result<Option<Drift>, Error> {
    let Some((interface, path)) = switch(container)? else {
        return Ok(None);
    };
    let value = match sysctl::read(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => cause.to_string(),
        value => value.context(Code::System, || {
            format!("read route_localnet of {interface}")
        })?,
    };
    // Opened for writing and left alone, to learn what ADD would have met.
    let is_read_only = || {
        let opened = std::fs::OpenOptions::new().write(true).open(&path);
        opened.is_err_and(|cause| cause.kind() == io::ErrorKind::ReadOnlyFilesystem)
    };
    Ok((value != "1" && !is_read_only())
        .then(|| Drift::new(format!("route_localnet of {interface}"), 1, value)))
}

fn switch(container: IpAddr) -> Result<Option<(String, std::path::PathBuf)>, Error> {
    Ok(interface_towards(container)?.map(|interface| {
        let path = sysctl::path(&["net", "ipv4", "conf", interface.as_str(), "route_localnet"]);
        (interface, path)
    }))
}
