//! The names of an attachment's ifbs, and whether one that has such a name is ours.
//!
//! The ifb behind the ingress hook has the reference's name, which two interfaces of one container
//! share; whoever comes second gets a name of its own. The alias says what belongs to whom.

use common::Attachment;
use common::error::{Code, Context, Error};
use common::result::CniResult;
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use netlink_packet_route::link::InfoKind;

use crate::owner::{Mark, Owner};
use crate::tc::filter::{self, Filter};
use crate::tc::{Hook, qdisc};

/// Characters of an interface's name.
const LENGTH: usize = 15;
/// The beginnings of our ifbs' names, by the hook that they are behind; the reference's begin with the
/// first.
const PREFIXES: [(Hook, &str); 2] = [(Hook::Ingress, "bwp"), (Hook::Egress, "bwe")];
/// The interface that a container has when it has only one.
const FIRST: &str = "eth0";

/// The place of one ifb: its name, and what has that name now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The name of our ifb, or the one that it would get.
    pub name: String,
    /// The name under which it is made and marked before it gets that one: nobody else's, unless that
    /// name is taken.
    pub first_name: String,
    /// Our ifb.
    pub link: Option<Link>,
    /// What its alias says; the reference sets none.
    pub mark: Option<Mark>,
    /// A link whose packets are redirected to it, where that had to be looked for.
    pub user: Option<u32>,
    /// The kind of another tool's link that has the first choice of a name.
    pub taken_by: Option<String>,
}

/// What is known of an attachment beside its name.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The link that would be limited.
    pub link: Option<u32>,
    /// The result of the chain so far.
    pub result: Option<&'a CniResult>,
}

impl Slot {
    fn own(link: Link) -> Slot {
        Slot {
            name: link.name.clone(),
            first_name: link.name.clone(),
            mark: Mark::of(&link),
            link: Some(link),
            user: None,
            taken_by: None,
        }
    }

    fn free(name: String, taken_by: Option<String>) -> Slot {
        Slot {
            first_name: name.clone(),
            name,
            link: None,
            mark: None,
            user: None,
            taken_by,
        }
    }

    /// The slot of an ifb that is marked as somebody's.
    pub fn marked(link: Link) -> Option<Slot> {
        let slot = Slot::own(link);
        slot.mark.is_some().then_some(slot)
    }

    /// The index of our ifb.
    pub fn index(&self) -> Option<u32> {
        self.link.as_ref().map(|link| link.index)
    }
}

/// Every name that an ifb of an attachment may have.
pub fn names(attachment: &Attachment) -> [String; 3] {
    let [(_, ingress), (_, egress)] = PREFIXES;
    [
        attachment.shared_name(ingress, LENGTH),
        attachment.exact_name(ingress, LENGTH),
        attachment.exact_name(egress, LENGTH),
    ]
}

/// The hook that an ifb of this name is behind; `None` for names that are not like ours.
pub fn hook_of_name(name: &str) -> Option<Hook> {
    let found = PREFIXES
        .iter()
        .find(|(_, prefix)| name.starts_with(prefix))?;
    Some(found.0)
}

/// Finds the slot behind a hook.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn find(
    netlink: &mut Netlink,
    attachment: &Attachment,
    hook: Hook,
    evidence: Evidence<'_>,
) -> Result<Slot, Error> {
    let owner = Owner::of(attachment);
    let [name, second_name, egress_name] = names(attachment);
    if hook == Hook::Egress {
        let link = by_name(netlink, &egress_name)?;
        return Ok(exact(egress_name, link, &owner));
    }
    let shared = by_name(netlink, &name)?;
    if let Some(link) = shared.as_ref().filter(|link| is_marked(link, &owner)) {
        return Ok(Slot::own(link.clone()));
    }
    let second = by_name(netlink, &second_name)?;
    let second = exact(second_name, second, &owner);
    match shared {
        // Whoever made it was killed before it got its name and mark.
        None if second.link.is_some() && second.mark.is_none() => Ok(Slot { name, ..second }),
        _ if second.link.is_some() => Ok(second),
        None if second.taken_by.is_some() => Ok(Slot::free(name, None)),
        None => Ok(Slot { name, ..second }),
        Some(link) if link.kind == "ifb" && Mark::of(&link).is_none() => {
            let user = user(netlink, &link, evidence)?;
            Ok(match is_adopted(&link, attachment, user, evidence) {
                true => Slot {
                    user,
                    ..Slot::own(link)
                },
                false => Slot {
                    taken_by: Some(link.kind),
                    ..second
                },
            })
        }
        Some(link) => Ok(Slot {
            taken_by: Some(link.kind),
            ..second
        }),
    }
}

/// Ifbs with a mark to which filters lead, except for the `known` ones: this attachment's under another
/// name, or those of other attachments.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn led_to<'f>(
    netlink: &mut Netlink,
    filters: impl Iterator<Item = &'f Filter>,
    known: &[u32],
) -> Result<Vec<(Link, Mark)>, Error> {
    let targets = filters.filter_map(|filter| filter.rule.as_ref()?.verdict.target());
    let mut targets: Vec<u32> = targets.filter(|t| *t != 0 && !known.contains(t)).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut found = Vec::new();
    for target in targets {
        let link = netlink
            .link_by_index(target)
            .context(Code::System, || format!("look up link {target}"))?;
        let link = link.filter(|link| link.kind == "ifb");
        found.extend(link.and_then(|link| Mark::of(&link).map(|mark| (link, mark))));
    }
    Ok(found)
}

/// The slot of a name that is this attachment's alone.
fn exact(name: String, link: Option<Link>, owner: &Owner) -> Slot {
    match link {
        // Without a mark: a crash came between creating and marking.
        Some(link) if link.kind == "ifb" && Mark::of(&link).is_none_or(|m| m.owner == *owner) => {
            Slot::own(link)
        }
        Some(link) => Slot::free(name, Some(link.kind)),
        None => Slot::free(name, None),
    }
}

fn by_name(netlink: &mut Netlink, name: &str) -> Result<Option<Link>, Error> {
    netlink
        .link_by_name(name)
        .context(Code::System, || format!("look up {name}"))
}

/// Whether a link is an ifb with the mark of that owner.
pub fn is_marked(link: &Link, owner: &Owner) -> bool {
    link.kind == "ifb" && Mark::of(link).is_some_and(|mark| mark.owner == *owner)
}

/// Whether an ifb without mark under the shared name is this attachment's: one that the reference
/// made, or that a crash left.
fn is_adopted(
    link: &Link,
    attachment: &Attachment,
    user: Option<u32>,
    evidence: Evidence<'_>,
) -> bool {
    let is_named = evidence
        .result
        .is_some_and(|r| r.interfaces.iter().any(|i| i.name == link.name));
    match (user, evidence.link) {
        _ if is_named => true,
        // Nobody uses it.
        (None, _) => true,
        (Some(user), Some(own)) => user == own,
        // The reference can limit one interface of a container, and most have but one.
        (Some(_), None) => attachment.ifname == FIRST,
    }
}

/// A link whose incoming packets are redirected to an ifb; the attachment's own is looked at first.
fn user(netlink: &mut Netlink, ifb: &Link, evidence: Evidence<'_>) -> Result<Option<u32>, Error> {
    let tried = || format!("find who uses {}", ifb.name);
    let others = netlink
        .links(Some(InfoKind::Veth))
        .context(Code::System, tried)?;
    let others = others.into_iter().map(|link| link.index);
    for link in evidence.link.into_iter().chain(others) {
        if redirects(netlink, link, ifb.index).context(Code::System, tried)? {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

/// Whether a link's incoming packets are redirected to an ifb.
///
/// # Errors
/// What the kernel refused.
pub fn redirects(
    netlink: &mut Netlink,
    link: u32,
    ifb: u32,
) -> Result<bool, common::sys::netlink::Refusal> {
    let Some(hook) = qdisc::hook(netlink, link)? else {
        return Ok(false);
    };
    let filters = filter::list(netlink, link, Hook::Ingress.parent(&hook.kind))?;
    Ok(filters
        .iter()
        .filter_map(|filter| filter.rule.as_ref()?.verdict.target())
        .any(|target| target == ifb))
}
