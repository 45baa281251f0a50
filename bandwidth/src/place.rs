//! Where an attachment's traffic can be limited: on the veth's end in the host, or, for interfaces
//! that have none, on the interface itself inside the container's namespace.

use std::path::Path;

use common::error::{Code, Context, Error, short};
use common::mac::Mac;
use common::result::{CniResult, Interface};
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use common::sys::netns::{Netns, OpenError};
use common::sys::peer;
use common::{Attachment, Request};

use crate::ifb;
use crate::owner::{Mark, Owner};
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
    /// The container's namespace.
    netns: Netns,
}

/// Why there is no place.
#[derive(Debug)]
pub enum Missing {
    /// The namespace or the interface is not there, or is nothing that can be limited.
    Nothing(Error),
    /// It could not be found out.
    Unknown(Error),
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Error {
        match missing {
            Missing::Nothing(error) | Missing::Unknown(error) => error,
        }
    }
}

impl From<Error> for Missing {
    fn from(error: Error) -> Missing {
        Missing::Unknown(error)
    }
}

impl From<OpenError> for Missing {
    fn from(error: OpenError) -> Missing {
        match error {
            OpenError::Gone(error) | OpenError::Foreign(error) => Missing::Nothing(error),
            OpenError::Unusable(error) => Missing::Unknown(error),
        }
    }
}

/// A refusal that is known for sure.
fn nothing(msg: String) -> Missing {
    Missing::Nothing(Error::new(Code::InvalidConfig, msg))
}

impl Place {
    /// Finds the link of the request's attachment.
    ///
    /// # Errors
    /// Code 8 for the namespace, code 7 when the interface is not there or cannot be limited.
    pub fn of(request: &Request) -> Result<Place, Missing> {
        let Attachment { ifname, .. } = &request.attachment;
        let path = request.required_netns()?;
        let netns = Netns::open(path)?;
        let mut inside = netns.run(Netlink::route)?;
        let whose = format!("{ifname} in {}", path.display());
        let own = inside
            .link_by_name(ifname)
            .context(Code::System, || format!("look up {whose}"))?
            .ok_or_else(|| nothing(format!("there is no interface {whose}")))?;
        if own.kind.is_empty() && own.name == "lo" {
            let msg = format!("{whose} is the loopback interface, which cannot be limited");
            return Err(nothing(msg));
        }
        let (netlink, link, side) = if own.kind == "veth" {
            let found = peer::of_veth(&mut inside, &netns, &own)?;
            let (outside, peer) = found.ok_or_else(|| {
                nothing(format!("{whose} has no veth peer in the host's namespace"))
            })?;
            (outside, peer, Side::Host)
        } else {
            (inside, own.clone(), Side::Container)
        };
        Ok(Place {
            gso: own.gso_max_size.max(link.gso_max_size).max(GSO_DEFAULT),
            netlink,
            link,
            side,
            netns,
        })
    }

    /// The sandbox of what is made beside the link, as a result names it.
    pub fn sandbox(&self) -> String {
        match self.side {
            Side::Host => String::new(),
            Side::Container => self.netns.path().to_string_lossy().into_owned(),
        }
    }

    /// Refuses a result that speaks of veths in the host, but not of this one's end there: the
    /// request then means another interface than the one it names.
    ///
    /// # Errors
    /// Code 7 with both names.
    pub fn matches(&mut self, attachment: &Attachment, result: &CniResult) -> Result<(), Error> {
        let what = "no veth peer of the container's interface in prevResult.interfaces";
        match self.mismatch(attachment, result)? {
            None => Ok(()),
            Some(why) => Err(Error::new(Code::InvalidConfig, format!("{what}: {why}"))),
        }
    }

    /// Whether this link is an attachment's: another container may have the path of the namespace by
    /// now. The link's own mark decides, else the result. A link that got another name is known by its
    /// hardware address.
    ///
    /// # Errors
    /// Code 100 when the kernel does not say.
    pub fn is_of(
        &mut self,
        attachment: &Attachment,
        result: Option<&CniResult>,
    ) -> Result<bool, Error> {
        if let Some(mark) = Mark::of(&self.link) {
            return Ok(mark.owner == Owner::of(attachment));
        }
        let Some(result) = result.filter(|_| self.side == Side::Host) else {
            return Ok(true);
        };
        let mac = self.link.mac;
        let is_same = |named: &Interface| mac.is_some() && Mac::from_text(&named.mac) == mac;
        let has_address = result.host_interfaces(&attachment.ifname).any(is_same);
        Ok(has_address || self.mismatch(attachment, result)?.is_none())
    }

    /// In what a result and this link differ.
    fn mismatch(
        &mut self,
        attachment: &Attachment,
        result: &CniResult,
    ) -> Result<Option<String>, Error> {
        let ifbs = ifb::names(attachment);
        let named: Vec<&str> = result
            .host_interfaces(&attachment.ifname)
            .map(|interface| interface.name.as_str())
            .filter(|name| !name.is_empty() && !ifbs.iter().any(|ifb| ifb == name))
            .collect();
        let Place { link, side, .. } = &self;
        Ok(match side {
            Side::Host if named.contains(&link.name.as_str()) => None,
            Side::Host => other_end(&mut self.netlink, &named)?
                .map(|other| format!("the peer is {}, not {:?}", self.link.name, short(&other))),
            Side::Container => self.other_veth(&named)?.map(|other| {
                format!(
                    "{other} there is the peer of another interface, and {} is a {}",
                    link.name, link.kind
                )
            }),
        })
    }

    /// The first of these links of the host that is a veth into the container.
    fn other_veth(&self, names: &[&str]) -> Result<Option<String>, Error> {
        if names.is_empty() {
            return Ok(None);
        }
        let mut host = Netlink::route()?;
        for name in names {
            if veth_into(&mut host, name, Some(&self.netns))?.is_some() {
                return Ok(Some((*name).to_owned()));
            }
        }
        Ok(None)
    }
}

/// The first of these names that may be a veth's: a bridge or another device is not an end of a pair.
fn other_end(netlink: &mut Netlink, names: &[&str]) -> Result<Option<String>, Error> {
    for name in names {
        let link = look_up(netlink, name)?;
        if link.is_none_or(|link| link.kind == "veth") {
            return Ok(Some((*name).to_owned()));
        }
    }
    Ok(None)
}

fn look_up(netlink: &mut Netlink, name: &str) -> Result<Option<Link>, Error> {
    netlink
        .link_by_name(name)
        .context(Code::System, || format!("look up {name}"))
}

/// The veth of that name whose other end is in a namespace, or, where that is not known, at least in
/// another one than the host's.
fn veth_into(host: &mut Netlink, name: &str, netns: Option<&Netns>) -> Result<Option<Link>, Error> {
    let Some(link) = look_up(host, name)?.filter(|link| link.kind == "veth") else {
        return Ok(None);
    };
    let is_into = match netns {
        Some(netns) => host
            .leads_to(&link, netns.fd())
            .context(Code::System, || format!("look up the peer of {name}"))?,
        None => link.parent_netnsid.is_some(),
    };
    Ok(is_into.then_some(link))
}

/// The veth of the host that a result names and that is known to be the attachment's, if it still lives,
/// and leads to the namespace where one is given and there: by its mark, else by its hardware address. A
/// name alone may be another's by now, and a veth with both ends in the host is not a container's.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn named(
    netlink: &mut Netlink,
    attachment: &Attachment,
    result: &CniResult,
    netns: Option<&Path>,
) -> Result<Option<Link>, Error> {
    let netns = netns.map(Netns::open_if_there).transpose()?.flatten();
    let owner = Owner::of(attachment);
    for interface in result.host_interfaces(&attachment.ifname) {
        let mac = Mac::from_text(&interface.mac);
        let is_own = |link: &Link| match Mark::of(link) {
            Some(mark) => mark.owner == owner,
            None => mac.is_some() && link.mac == mac,
        };
        let link = veth_into(netlink, &interface.name, netns.as_ref())?;
        if let Some(link) = link.filter(is_own) {
            return Ok(Some(link));
        }
    }
    Ok(None)
}
