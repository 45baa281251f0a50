//! The container.

use std::net::IpAddr;

use common::Error;
use common::Protocol;
use common::sys::netns::{Netns, OpenError};
use portmap::address::local;
use portmap::firewall::Hook;
use portmap::list::{Listener, listeners};

use super::{Way, family, judged};
use crate::doctor::ports::process;
use crate::finding::{Finding, some};
use crate::firewall::{Firewall, Packet};
use crate::requests::netns_of;

const UNKNOWN: &str = "unknown: this container is not in the runtime's cache";

/// Whether it is there.
pub fn namespace(way: &Way<'_>) -> Result<Finding, Error> {
    let Some(entry) = way.entry else {
        return Ok(Finding::warning("", UNKNOWN));
    };
    Ok(match Netns::open(netns_of(entry)?) {
        Ok(_) => Finding::ok("", format!("{} exists", entry.netns)),
        Err(OpenError::Gone(_)) => {
            let text = format!("{} is gone: the container is not running", entry.netns);
            Finding::error("", text).run("cnictl gc --dry-run")
        }
        Err(OpenError::Foreign(error) | OpenError::Unusable(error)) => Finding::unread("", &error),
    })
}

/// Looks at something in the container's namespace; `None` where that is not known.
fn within<T: Send>(
    way: &Way<'_>,
    look: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<Option<T>, Error> {
    let Some(entry) = way.entry else {
        return Ok(None);
    };
    let netns = Netns::open(netns_of(entry)?)?;
    netns.run(look).map(Some)
}

/// Whether it has the address.
pub fn address(way: &Way<'_>) -> Result<Finding, Error> {
    let wanted = way.row().forward.to.ip();
    let Some(all) = within(way, || local(family(way.mapping)))? else {
        return Ok(Finding::warning("", UNKNOWN));
    };
    Ok(match all.contains(&wanted) {
        true => Finding::ok("", format!("it has {wanted}")),
        false => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            let text = format!("it does not have {wanted}, but {}", some(&all));
            Finding::error("", text)
        }
    })
}

/// Who listens.
pub fn listener(way: &Way<'_>) -> Result<Finding, Error> {
    let (to, protocol) = (way.row().forward.to, way.row().forward.port.protocol);
    if protocol == Protocol::Sctp {
        return Ok(Finding::warning(
            "",
            "unknown: listeners on SCTP cannot be listed",
        ));
    }
    let look = || listeners(|port, of| (port, of) == (to.port(), protocol));
    let Some(all) = within(way, look)? else {
        return Ok(Finding::warning("", UNKNOWN));
    };
    let hears = |listener: &&Listener| hears(listener.local.ip(), to.ip());
    let told: Vec<String> = all.iter().map(process).collect();
    Ok(match all.iter().find(hears) {
        Some(listener) => Finding::ok("", process(listener)),
        None if all.is_empty() => {
            let text = format!(
                "no process listens on {}/{protocol} in the container",
                to.port()
            );
            Finding::error("", text)
        }
        None => {
            let text = format!(
                "no process listens on {}, only on: {}",
                to.ip(),
                some(&told)
            );
            Finding::error("", text)
        }
    })
}

/// Whether a socket that is bound to an address gets what is sent to another. One of IPv6 may have been
/// kept from IPv4, which cannot be seen.
fn hears(bound: IpAddr, address: IpAddr) -> bool {
    match (bound, address) {
        (IpAddr::V6(v6), IpAddr::V4(v4)) => v6.is_unspecified() || v6.to_ipv4_mapped() == Some(v4),
        _ => bound == address || bound.is_unspecified() && bound.is_ipv4() == address.is_ipv4(),
    }
}

/// Its own firewall.
pub fn filters(way: &Way<'_>) -> Result<Finding, Error> {
    let Some(firewall) = within(way, || Ok(Firewall::read(family(way.mapping))))? else {
        return Ok(Finding::warning("", UNKNOWN));
    };
    if let Some(error) = Error::all(firewall.errors.clone()) {
        return Err(error);
    }
    let packet = Packet {
        is_local: true,
        interfaces: (Some(way.forward_ifname().to_owned()), None),
        states: &["NEW"],
        ..way.translated()?
    };
    Ok(judged(firewall.filters(Hook::Input, &packet)))
}

impl Way<'_> {
    fn forward_ifname(&self) -> &str {
        self.entry.map_or("", |entry| &entry.attachment.ifname)
    }

    /// The interface by which the container's packets to an address leave it.
    pub fn way_out(&self, to: IpAddr) -> Result<Option<Option<String>>, Error> {
        within(self, || portmap::address::interface_towards(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_hears_what_comes_to_its_address() {
        let cases = [
            ("0.0.0.0", "10.0.0.2", true),
            ("10.0.0.2", "10.0.0.2", true),
            ("127.0.0.1", "10.0.0.2", false),
            ("::", "10.0.0.2", true),
            ("::ffff:10.0.0.2", "10.0.0.2", true),
            ("::1", "10.0.0.2", false),
            ("::", "fd00::2", true),
            ("0.0.0.0", "fd00::2", false),
        ];
        for (bound, address, expected) in cases {
            let is = hears(bound.parse().unwrap(), address.parse().unwrap());
            assert_eq!(is, expected, "{bound} {address}");
        }
    }
}
