//! Where an attachment's traffic can be limited: on the veth's end in the host, or, for interfaces
//! that have none, on the interface itself inside the container's namespace.

use std::path::Path;

use common::error::{Code, Context, Error};
use common::mac::Mac;
use common::result::CniResult;
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use common::sys::netns::Netns;
use common::{Attachment, Request};

use crate::plan::Side;
use crate::tbf::GSO_DEFAULT;

/// The link to limit, and a socket in its namespace.
#[derive(Debug)]
pub struct Place {
    /// A socket in the link's namespace.
    pub netlink: Netlink,
    /// The link.
    pub link: Link,
    /// Which end it is.
    pub side: Side,
    /// The largest packet in bytes that either end may be handed.
    pub gso: u32,
    /// The container's namespace as the runtime named it.
    pub sandbox: String,
}

impl Place {
    /// Finds the link of the request's attachment.
    ///
    /// # Errors
    /// Code 8 for the namespace, code 7 when the interface is not there or cannot be limited.
    pub fn of(request: &Request) -> Result<Place, Error> {
        let Attachment { ifname, .. } = &request.attachment;
        let path = request.required_netns()?;
        let netns = Netns::open(path)?;
        let mut inside = netns.run(Netlink::route)?;
        let whose = || format!("{ifname} in {}", path.display());
        let own = inside
            .link_by_name(ifname)
            .context(Code::System, || format!("look up {}", whose()))?
            .ok_or_else(|| {
                Error::new(
                    Code::InvalidConfig,
                    format!("there is no interface {}", whose()),
                )
            })?;
        if own.kind.is_empty() && own.name == "lo" {
            let msg = format!("{} is the loopback, which cannot be limited", whose());
            return Err(Error::new(Code::InvalidConfig, msg));
        }
        let (netlink, link, side) = if own.kind == "veth" {
            let mut outside = Netlink::route()?;
            let peer = peer(&mut outside, &netns, &own, &whose())?;
            (outside, peer, Side::Host)
        } else {
            (inside, own.clone(), Side::Container)
        };
        Ok(Place {
            gso: own.gso_max_size.max(link.gso_max_size).max(GSO_DEFAULT),
            netlink,
            link,
            side,
            sandbox: path.to_string_lossy().into_owned(),
        })
    }

    /// Refuses a result that speaks of interfaces in the host, but not of this one's end there: the
    /// request then means another interface than the one it names.
    ///
    /// # Errors
    /// Code 7 with both names.
    pub fn matches(&self, result: &CniResult) -> Result<(), Error> {
        let named: Vec<&str> = result
            .interfaces
            .iter()
            .filter(|i| !i.is_in_sandbox())
            .map(|i| i.name.as_str())
            .collect();
        let Place { link, side, .. } = self;
        let why = match side {
            Side::Host if named.is_empty() || named.contains(&link.name.as_str()) => return Ok(()),
            Side::Host => format!("the peer is {}", link.name),
            Side::Container => match self.other_veth(&named)? {
                None => return Ok(()),
                Some(other) => format!(
                    "{other} there is the peer of another one, and {} is a {}",
                    link.name, link.kind
                ),
            },
        };
        let what = "no veth peer of the container's interface in prevResult.interfaces";
        Err(Error::new(Code::InvalidConfig, format!("{what}: {why}")))
    }

    /// The first of these links of the host that is a veth into the container.
    fn other_veth(&self, names: &[&str]) -> Result<Option<String>, Error> {
        if names.is_empty() {
            return Ok(None);
        }
        let netns = Netns::open(Path::new(&self.sandbox))?;
        let mut host = Netlink::route()?;
        let number = host
            .netns_number(netns.fd())
            .context(Code::System, || format!("look up {}", self.sandbox))?;
        for name in names {
            let link = host
                .link_by_name(name)
                .context(Code::System, || format!("look up {name}"))?;
            let into = |link: &Link| link.kind == "veth" && link.parent_netnsid == number;
            if number.is_some() && link.as_ref().is_some_and(into) {
                return Ok(Some((*name).to_owned()));
            }
        }
        Ok(None)
    }
}

/// The veth of the host that a result names with its hardware address, if it still lives. A name alone
/// may be another's by now.
///
/// # Errors
/// Code 100 when the kernel refuses to tell.
pub fn named(netlink: &mut Netlink, result: Option<&CniResult>) -> Result<Option<Link>, Error> {
    let interfaces = result.map_or(&[][..], |result| &result.interfaces);
    for interface in interfaces.iter().filter(|i| !i.is_in_sandbox()) {
        let mac = Mac::from_text(&interface.mac);
        let link = netlink
            .link_by_name(&interface.name)
            .context(Code::System, || format!("look up {}", interface.name))?;
        let is_it = |link: &Link| link.kind == "veth" && mac.is_some() && link.mac == mac;
        if let Some(link) = link.filter(is_it) {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

/// The other end of a veth, if it is in the plugin's own namespace.
fn peer(netlink: &mut Netlink, netns: &Netns, own: &Link, whose: &str) -> Result<Link, Error> {
    let tried = || format!("look up the veth peer of {whose}");
    let link = match own.parent {
        Some(index) if index != 0 => netlink.link_by_index(index).context(Code::System, tried)?,
        _ => None,
    };
    // Indices repeat in other namespaces: the peer must point back, and into this container.
    let link = link.filter(|link| link.kind == "veth" && link.parent == Some(own.index));
    let number = netlink
        .netns_number(netns.fd())
        .context(Code::System, tried)?;
    link.filter(|link| link.parent_netnsid == number)
        .ok_or_else(|| {
            let msg = format!("{whose} has no veth peer in the host's namespace");
            Error::new(Code::InvalidConfig, msg)
        })
}
