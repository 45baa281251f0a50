//! The verbs.

use std::collections::{HashMap, HashSet};

use common::drift;
use common::error::{Code, Context, Error};
use common::keys::Key;
use common::result::{CniResult, Interface};
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use common::version::Version;
use common::{Attachment, Drift, Plugin, Request};

use crate::apply::{Done, Job, PRIORITIES};
use crate::config::Config;
use crate::ifb::Slot;
use crate::observe::Actual;
use crate::owner::{Mark, Owner};
use crate::place::{Missing, Place};
use crate::plan::{Facts, Hook, Plan, Side};
use crate::undo::Changes;
use crate::{place, remove, status};

/// The plugin.
pub struct Bandwidth;

impl Plugin for Bandwidth {
    const NAME: &'static str = "bandwidth";
    const VERSIONS: &'static [Version] = Version::WITH_INTERFACES;
    const KEYS: &'static [&'static [Key]] = crate::keys::KEYS;

    fn add(request: &Request) -> Result<CniResult, Error> {
        let config = Config::parse(request)?;
        let mut result = request.conf.required_prev_result()?;
        if config.is_off() {
            return Ok(result);
        }
        let mut place = Place::of(request)?;
        place.matches(&request.attachment, &result)?;
        let actual = observe(&mut place, &request.attachment, &result)?;
        let plan = Plan::new(&config, &facts(&place, &actual));
        for bucket in plan.too_small() {
            request.log.warn(bucket);
        }
        let kept: Vec<String> = result.interfaces.iter().map(|i| i.name.clone()).collect();
        let job = Job {
            plan: &plan,
            actual: &actual,
            link: &place.link,
            mark: &mark(&request.attachment, &place, &plan, &actual),
            priority: config.filter_priority.unwrap_or(priority(&actual)),
            kept: &kept,
        };
        let Done { ifbs, changed } = job.run(Changes::new(&mut place.netlink, &request.log))?;
        if changed {
            let limits = config.limits();
            request
                .log
                .changed(format!("limited {}: {limits}", plan.link));
        }
        for ifb in ifbs {
            insert(&mut result, interface(&ifb, &place, request.conf.version));
        }
        Ok(result)
    }

    fn check(request: &Request) -> Result<(), Error> {
        drift::verdict(&request.attachment, &drifts(request)?)
    }

    fn del(request: &Request) -> Result<(), Error> {
        // Neither limits nor a sound result are needed to take everything back.
        let result = request.conf.prev_result().ok().flatten();
        let attachment = &request.attachment;
        let mut errors = Vec::new();
        let (mut host_link, mut named_in) = (None, None);
        match request.netns.as_ref().map(|_| Place::of(request)) {
            Some(Ok(mut place)) => match place.is_of(attachment, result.as_ref()) {
                Ok(is_own) if place.side == Side::Container => errors.extend(remove::attachment(
                    &mut place.netlink,
                    attachment,
                    Some(&place.link).filter(|_| is_own),
                    result.as_ref(),
                    &request.log,
                )),
                Ok(true) => host_link = Some(place.link),
                // The path is another container's by now.
                Ok(false) => named_in = Some(None),
                Err(error) => errors.push(error),
            },
            // The namespace or the interface is gone, and with them the veth, most likely.
            Some(Err(Missing::Nothing(_))) | None => named_in = Some(request.netns.as_deref()),
            Some(Err(Missing::Unknown(error))) => errors.push(error),
        }
        match Netlink::route() {
            Ok(mut host) => {
                if let (Some(result), Some(netns)) = (result.as_ref(), named_in) {
                    match place::named(&mut host, attachment, result, netns) {
                        Ok(link) => host_link = link,
                        Err(error) => errors.push(error),
                    }
                }
                let link = host_link.as_ref();
                errors.extend(remove::attachment(
                    &mut host,
                    attachment,
                    link,
                    result.as_ref(),
                    &request.log,
                ));
            }
            Err(error) => errors.push(error),
        }
        Error::all(errors).map_or(Ok(()), Err)
    }

    fn gc(request: &Request) -> Result<(), Error> {
        let network = &request.attachment.network;
        let valid: HashSet<Owner> = request
            .conf
            .valid_attachments()?
            .into_iter()
            .map(|valid| {
                Owner::of(&Attachment {
                    network: network.clone(),
                    container: valid.container,
                    ifname: valid.ifname,
                })
            })
            .collect();
        let mut host = Netlink::route()?;
        let links = host
            .links(None)
            .context(Code::System, || "list links".into())?;
        let mut dead: HashMap<Owner, (Vec<Slot>, Option<Link>)> = HashMap::new();
        for link in links {
            let owner = Mark::of(&link).map(|mark| mark.owner);
            let is_dead = |owner: &Owner| owner.is_on(network) && !valid.contains(owner);
            let Some(owner) = owner.filter(is_dead) else {
                continue;
            };
            let (slots, own) = dead.entry(owner).or_default();
            match link.kind.as_str() {
                "ifb" => slots.extend(Slot::marked(link)),
                _ => *own = Some(link),
            }
        }
        let errors = dead
            .values()
            .flat_map(|(slots, own)| remove::slots_of(&mut host, slots, own.as_ref(), &request.log))
            .collect();
        Error::all(errors).map_or(Ok(()), Err)
    }

    fn status(request: &Request) -> Result<(), Error> {
        Config::parse(request)?;
        status::probe()
    }
}

/// How an attachment differs from its plan.
///
/// # Errors
/// As CHECK's, but for the drifts.
pub fn drifts(request: &Request) -> Result<Vec<Drift>, Error> {
    let seen = look(request)?;
    Ok(seen.map_or_else(Vec::new, |(_, plan, actual)| plan.drifts(&actual)))
}

/// An attachment's place, its plan and what the kernel holds; `None` where nothing is limited.
///
/// # Errors
/// As CHECK's, but for the drifts.
pub fn look(request: &Request) -> Result<Option<(Side, Plan, Actual)>, Error> {
    let config = Config::parse(request)?;
    let result = request.conf.required_prev_result()?;
    if config.is_off() {
        return Ok(None);
    }
    let mut place = Place::of(request)?;
    place.matches(&request.attachment, &result)?;
    let actual = observe(&mut place, &request.attachment, &result)?;
    let plan = Plan::new(&config, &facts(&place, &actual));
    Ok(Some((place.side, plan, actual)))
}

fn observe(
    place: &mut Place,
    attachment: &Attachment,
    result: &CniResult,
) -> Result<Actual, Error> {
    Actual::observe(&mut place.netlink, attachment, &place.link, Some(result))
}

fn facts(place: &Place, actual: &Actual) -> Facts {
    let [ingress, egress] = &actual.sides;
    Facts {
        side: place.side,
        link: place.link.name.clone(),
        mtu: place.link.mtu,
        gso: place.gso,
        ingress_ifb: ingress.slot.name.clone(),
        egress_ifb: egress.slot.name.clone(),
    }
}

/// What the ifbs are to say of themselves. What was made for an earlier ADD stays made.
fn mark(attachment: &Attachment, place: &Place, plan: &Plan, actual: &Actual) -> Mark {
    let was_made = |side: &crate::observe::HookState| match side.mark() {
        Some(mark) => mark.hook_made,
        // The reference always makes an ingress qdisc of its own.
        None => side.hook == Hook::Ingress && side.own().next().is_some(),
    };
    // Another container with the same namespace: the last one to go takes the hook along.
    let is_shared = |side: &crate::observe::HookState| side.neighbours.iter().any(|m| m.hook_made);
    let sides = &actual.sides;
    let is_clsact = actual
        .hook
        .as_ref()
        .is_some_and(|hook| hook.kind == "clsact");
    let is_replaced = plan.detour(Hook::Egress).is_some() && !is_clsact;
    Mark {
        owner: Owner::of(attachment),
        link: place.link.index,
        hook_made: !plan.detours.is_empty()
            && (actual.hook.is_none()
                || is_replaced
                || sides.iter().any(was_made)
                || sides.iter().any(is_shared)),
        root_made: plan.root.is_some(),
    }
}

/// Where our filters stand: first as the reference's where nobody else is, else after everybody,
/// since what is redirected is seen by no later filter.
fn priority(actual: &Actual) -> u16 {
    match actual.has_others() {
        false => 1,
        true => u16::MAX - 2 * PRIORITIES + 1,
    }
}

fn interface(ifb: &Link, place: &Place, version: Version) -> Interface {
    Interface {
        name: ifb.name.clone(),
        mac: ifb.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        mtu: (version >= Version::V110).then_some(ifb.mtu.into()),
        sandbox: place.sandbox(),
        ..Interface::default()
    }
}

/// Puts an ifb into the result, in the place of one that an earlier ADD put there.
fn insert(result: &mut CniResult, interface: Interface) {
    let old = result
        .interfaces
        .iter_mut()
        .find(|i| i.name == interface.name && i.sandbox == interface.sandbox);
    match old {
        Some(old) => *old = interface,
        None => result.interfaces.push(interface),
    }
}
