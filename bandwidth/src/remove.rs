//! DEL and GC: remove what belongs to attachments, as far as it is still there.

mod link;

use std::collections::{HashMap, HashSet};
use std::iter;
use std::path::Path;

use common::error::{Code, Context, Error};
use common::log::Log;
use common::netconf::ValidAttachment;
use common::result::CniResult;
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use common::sys::netns::Netns;
use common::turn::Turn;
use common::{Attachment, Request};

use crate::TURNS;
use crate::ifb::{self, Evidence, Slot};
use crate::owner::{Mark, Owner};
use crate::place::{self, Missing, Place};
use crate::plan::Side;
use crate::tc::Hook;
use link::{Behind, restore};

/// Dead attachments whose turns GC has at once, so that it need not list every link for each.
const TURNS_AT_ONCE: usize = 50;

/// An attachment that goes.
struct Leaving<'a> {
    attachment: &'a Attachment,
    result: Option<&'a CniResult>,
    log: &'a Log,
}

/// DEL: removes what belongs to the attachment. Neither limits nor a sound result are needed.
///
/// # Errors
/// Everything that could not be removed.
pub fn del(request: &Request) -> Result<(), Error> {
    let result = request.conf.prev_result().ok().flatten();
    let leaving = Leaving {
        attachment: &request.attachment,
        result: result.as_ref(),
        log: &request.log,
    };
    let _turn = TURNS.of_del(request);
    let mut errors = Vec::new();
    let (mut link, mut named_in) = (None, None);
    match request.netns.as_ref().map(|_| Place::of(request)) {
        Some(Ok(mut place)) => match place.is_of(leaving.attachment, leaving.result) {
            Ok(is_own) if place.side == Side::Container => {
                let link = Some(&place.link).filter(|_| is_own);
                errors.extend(leaving.remove(&mut place.netlink, link));
            }
            Ok(true) => link = Some(place.link),
            // The path is another container's by now.
            Ok(false) => named_in = Some(None),
            Err(error) => errors.push(error),
        },
        // The namespace or the interface is gone, and with them the veth, most likely.
        Some(Err(Missing::Nothing(_))) | None => {
            named_in = Some(request.netns.as_deref());
            if let Some(path) = request.netns.as_deref() {
                let inside = leaving.inside(path);
                errors.extend(inside.unwrap_or_else(|error| vec![error]));
            }
        }
        Some(Err(Missing::Unknown(error))) => errors.push(error),
    }
    let on_node = leaving.on_node(link, named_in);
    errors.extend(on_node.unwrap_or_else(|error| vec![error]));
    Error::all(errors).map_or(Ok(()), Err)
}

/// GC: removes what belongs to dead attachments of this network.
///
/// # Errors
/// Everything that could not be removed.
pub fn gc(request: &Request) -> Result<(), Error> {
    let network = &request.attachment.network;
    let owner = |valid: ValidAttachment| {
        Owner::of(&Attachment {
            network: network.clone(),
            container: valid.container,
            ifname: valid.ifname,
        })
    };
    let valid = request.conf.valid_attachments()?.into_iter();
    let valid: HashSet<Owner> = valid.map(owner).collect();
    let mut host = Netlink::route()?;
    let is_dead = |owner: &Owner| owner.is_on(network) && !valid.contains(owner);
    let (living, dead): (HashMap<Owner, Found>, HashMap<Owner, Found>) =
        marked(&mut host, |_| true)?
            .into_iter()
            .partition(|(owner, _)| !is_dead(owner));
    let living = living.into_values().flat_map(|found| found.ifbs);
    let living: Vec<Mark> = living.filter_map(|slot| slot.mark).collect();
    let mut errors = Vec::new();
    let dead: Vec<(Owner, Found)> = dead.into_iter().collect();
    for some in dead.chunks(TURNS_AT_ONCE) {
        errors.extend(of_dead(&mut host, some, &living, &request.log)?);
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// Removes what was found of the dead, except for those that are being changed, or were since: they are not dead.
fn of_dead(
    netlink: &mut Netlink,
    dead: &[(Owner, Found)],
    living: &[Mark],
    log: &Log,
) -> Result<Vec<Error>, Error> {
    let turns = dead.iter().map(|(owner, _)| TURNS.at_once(&owner.turn()));
    let turns: Vec<Option<Turn>> = turns.collect();
    let owners: HashSet<&Owner> = dead.iter().map(|(owner, _)| owner).collect();
    let mut now = marked(netlink, |owner| owners.contains(owner))?;
    let mut errors = Vec::new();
    for ((owner, then), turn) in dead.iter().zip(&turns) {
        match (turn, now.remove(owner)) {
            (_, None) => {}
            (Some(_), Some(found)) if found.was_in(then) => {
                errors.extend(found.remove(netlink, (owner, living), log));
            }
            (Some(_), Some(_)) => log.warn(format!("limits of {owner} stay: they were changed")),
            (None, Some(_)) => log.warn(format!("limits of {owner} stay: they are being changed")),
        }
    }
    Ok(errors)
}

/// What is an owner's.
#[derive(Default)]
struct Found {
    ifbs: Vec<Slot>,
    /// The limited links.
    links: Vec<Link>,
}

impl Found {
    /// Whether all of it was there before, with the same marks.
    fn was_in(&self, then: &Found) -> bool {
        let is_same = |now: &Link, then: &Link| now.index == then.index && now.alias == then.alias;
        let ifbs = |found: &Found| -> Vec<Link> {
            let links = found.ifbs.iter().filter_map(|slot| slot.link.clone());
            links.chain(found.links.iter().cloned()).collect()
        };
        let then = ifbs(then);
        let mut now = ifbs(self).into_iter();
        now.all(|now| then.iter().any(|then| is_same(&now, then)))
    }

    fn remove(self, netlink: &mut Netlink, whose: (&Owner, &[Mark]), log: &Log) -> Vec<Error> {
        let Found { ifbs, links } = self;
        let place = links.iter().position(|link| is_behind(&ifbs, link));
        let first = links.get(place.unwrap_or(0));
        // A link that the ifbs are not behind has a mark of its own.
        let is_other = |(at, link): &(usize, &Link)| {
            Some(*at) != place && Mark::of(link).is_some_and(|mark| mark.owner == *whose.0)
        };
        let rest = links.iter().enumerate().filter(is_other);
        let rest = rest.map(|(_, link)| (Vec::new(), Some(link)));
        let all = iter::once((ifbs, first)).chain(rest);
        all.flat_map(|one| slots_of(netlink, whose, one, log))
            .collect()
    }
}

/// Whether ifbs are behind a link, as far as their marks say: whatever has the namespace's path by now.
fn is_behind(slots: &[Slot], link: &Link) -> bool {
    let mut marks = slots.iter().filter_map(|slot| slot.mark.as_ref());
    marks.all(|mark| mark.link == link.index)
}

/// Everything with the marks of some owners.
fn marked(
    netlink: &mut Netlink,
    is_wanted: impl Fn(&Owner) -> bool,
) -> Result<HashMap<Owner, Found>, Error> {
    let links = netlink
        .links(None)
        .context(Code::System, || "list links".into())?;
    let mut found: HashMap<Owner, Found> = HashMap::new();
    for link in links {
        let owner = Mark::of(&link).map(|mark| mark.owner);
        let Some(owner) = owner.filter(&is_wanted) else {
            continue;
        };
        let Found { ifbs, links } = found.entry(owner).or_default();
        match link.kind.as_str() {
            "ifb" => ifbs.extend(Slot::marked(link)),
            _ => links.push(link),
        }
    }
    Ok(found)
}

impl Leaving<'_> {
    /// Removes what is in the container's namespace, on an interface that has another name by now.
    fn inside(&self, path: &Path) -> Result<Vec<Error>, Error> {
        let Some(netns) = Netns::open_if_there(path)? else {
            return Ok(Vec::new());
        };
        let mut inside = netns.run(Netlink::route)?;
        Ok(self.remove(&mut inside, None))
    }

    /// Removes what is on the node: on the link, or on the one that the result names in a namespace.
    fn on_node(
        &self,
        mut link: Option<Link>,
        named_in: Option<Option<&Path>>,
    ) -> Result<Vec<Error>, Error> {
        let mut host = Netlink::route()?;
        let mut errors = Vec::new();
        if let (Some(result), Some(netns)) = (self.result, named_in) {
            match place::named(&mut host, self.attachment, result, netns) {
                Ok(named) => link = named,
                Err(error) => errors.push(error),
            }
        }
        errors.extend(self.remove(&mut host, link.as_ref()));
        Ok(errors)
    }

    /// Removes the ifbs, and what is on the link where that is known. Carries on after a failure.
    fn remove(&self, netlink: &mut Netlink, link: Option<&Link>) -> Vec<Error> {
        let evidence = Evidence {
            link: link.map(|link| link.index),
            result: self.result,
        };
        let mut errors = Vec::new();
        let mut found = Found {
            ifbs: Vec::new(),
            links: link.cloned().into_iter().collect(),
        };
        for hook in [Hook::Ingress, Hook::Egress] {
            match ifb::find(netlink, self.attachment, hook, evidence) {
                Ok(slot) => found.ifbs.push(slot),
                Err(error) => errors.push(error),
            }
        }
        let owner = Owner::of(self.attachment);
        // Nothing that is known leads to what is there: the marks do.
        if (link.is_none() || self.is_ifb_named()) && found.ifbs.iter().all(|s| s.link.is_none()) {
            match marked(netlink, |of| *of == owner) {
                Ok(mut all) => {
                    let Found { ifbs, links } = all.remove(&owner).unwrap_or_default();
                    found.ifbs = ifbs;
                    if link.is_none() {
                        found.links = links;
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        errors.extend(found.remove(netlink, (&owner, &[]), self.log));
        errors
    }

    /// Whether the result names an ifb: there was one, whatever its name is by now.
    fn is_ifb_named(&self) -> bool {
        let names = ifb::names(self.attachment);
        let mut named = self.result.iter().flat_map(|result| &result.interfaces);
        named.any(|interface| names.contains(&interface.name))
    }
}

/// Removes an owner's ifbs in these slots and what leads to them. The marks of others that live protect what
/// these use of the same link, even while an ADD has none of its filters there.
fn slots_of(
    netlink: &mut Netlink,
    (owner, living): (&Owner, &[Mark]),
    (mut slots, link): (Vec<Slot>, Option<&Link>),
    log: &Log,
) -> Vec<Error> {
    let link = link.filter(|link| is_behind(&slots, link));
    let guessed = match link {
        Some(_) => None,
        None => match guess(netlink, &slots) {
            Ok(guessed) => guessed,
            Err(error) => return vec![error],
        },
    };
    if let Some(behind) = link.or(guessed.as_ref()) {
        let is_certain = link.is_some();
        let link = behind;
        let is_beside = |mark: &&Mark| mark.link == link.index;
        let living: Vec<&Mark> = living.iter().filter(is_beside).collect();
        let behind = Behind { link, is_certain };
        match restore(netlink, (owner, &living), behind, &mut slots) {
            Ok(true) => log.changed(format!("removed the limits of {}", link.name)),
            Ok(false) => {}
            // What is left is found by the ifbs' marks: they go last.
            Err(error) => return vec![error],
        }
    }
    let mut errors = Vec::new();
    for ifb in slots.iter().filter_map(|slot| slot.link.as_ref()) {
        let deleted = netlink
            .delete_link(ifb.index)
            .context(Code::System, || format!("delete {}", ifb.name));
        match deleted {
            Ok(()) => log.changed(format!("deleted {}", ifb.name)),
            Err(error) => errors.push(error),
        }
    }
    errors
}

/// The link that an ifb's mark or a filter names, if it is there.
fn guess(netlink: &mut Netlink, slots: &[Slot]) -> Result<Option<Link>, Error> {
    let named = |slot: &Slot| {
        slot.link.as_ref()?;
        slot.mark.as_ref().map(|mark| mark.link).or(slot.user)
    };
    match slots.iter().find_map(named) {
        Some(index) => netlink
            .link_by_index(index)
            .context(Code::System, || format!("look up link {index}")),
        None => Ok(None),
    }
}
