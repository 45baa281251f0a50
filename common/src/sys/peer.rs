//! The other end of a veth.

use super::link::Link;
use super::netlink::Netlink;
use super::netns::Netns;
use crate::error::{Code, Context, Error};

/// The peer of a veth's end `own` in the container's namespace, if it is in this process's namespace, and
/// a socket there. `inside` is a socket in the container's namespace.
///
/// Indices repeat in other namespaces, and whoever may make links in the container chooses theirs: each
/// end must lead to the other's index in the other's namespace.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn of_veth(
    inside: &mut Netlink,
    netns: &Netns,
    own: &Link,
) -> Result<Option<(Netlink, Link)>, Error> {
    let tried = || format!("look up the veth peer of {}", own.name);
    let node = Netns::own()?;
    let is_here = inside.leads_to(own, node.fd());
    let is_here = is_here.context(Code::System, tried)?;
    let Some(index) = own.parent.filter(|_| is_here) else {
        return Ok(None);
    };
    let mut outside = Netlink::route()?;
    let link = outside.link_by_index(index).context(Code::System, tried)?;
    let leads_back = |link: &Link| link.kind == "veth" && link.parent == Some(own.index);
    let Some(link) = link.filter(leads_back) else {
        return Ok(None);
    };
    let is_ours = outside.leads_to(&link, netns.fd());
    let is_ours = is_ours.context(Code::System, tried)?;
    Ok(is_ours.then_some((outside, link)))
}
