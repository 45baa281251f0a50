//! What DEL and GC take from a link: filters, hook qdisc, token bucket and mark.

use common::error::{Code, Context, Error};
use common::sys::link::Link;
use common::sys::netlink::{Netlink, Refusal};

use crate::ifb::{self, Slot};
use crate::observe;
use crate::owner::{Mark, Owner, is_of_another};
use crate::tc::filter::{self, Filter};
use crate::tc::qdisc;
use crate::tc::{BUCKET, Hook, handle_text};

/// The link that an attachment's ifbs are behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind<'a> {
    pub(super) link: &'a Link,
    /// The link is known to be the attachment's; else only a filter to its ifb proves it.
    pub(super) is_certain: bool,
}

/// Whether a hook qdisc was made for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Yes,
    No,
    /// If a filter of ours is on it.
    IfUsed,
}

/// Takes our filters, hook qdisc, token bucket and mark from the link, each whatever becomes of the
/// others. Says whether there were any. `slots` gets the ifbs to which our filters lead and which have
/// another name by now.
pub(super) fn restore(
    netlink: &mut Netlink,
    (owner, living): (&Owner, &[&Mark]),
    behind: Behind<'_>,
    slots: &mut Vec<Slot>,
) -> Result<bool, Error> {
    let Behind {
        link: behind,
        is_certain,
    } = behind;
    let link = behind.index;
    let tried = |what: &str| format!("{what} of {}", behind.name);
    let hook =
        qdisc::hook(netlink, link).context(Code::System, || tried("read the ingress qdisc"))?;
    let filters = match &hook {
        Some(hook) => filter::of_hooks(netlink, link, &hook.kind)
            .context(Code::System, || tried("read the filters"))?,
        None => Vec::new(),
    };
    let known: Vec<u32> = slots.iter().filter_map(Slot::index).collect();
    let led_to = ifb::led_to(netlink, filters.iter().map(|(_, filter)| filter), &known)?;
    let (strays, others): (Vec<_>, Vec<_>) = led_to
        .into_iter()
        .partition(|(_, mark)| mark.owner == *owner);
    slots.extend(strays.into_iter().filter_map(|(ifb, _)| Slot::marked(ifb)));
    let ifbs: Vec<u32> = slots.iter().filter_map(Slot::index).collect();
    if !is_certain && !filters.iter().any(|(_, filter)| leads_to(filter, &ifbs)) {
        return Ok(false);
    }
    // The link may be another attachment's by now, and so is its token bucket then.
    let marks = others.iter().map(|(_, mark)| mark);
    let marks = marks.chain(living.iter().copied());
    let is_marked = Mark::of(behind).is_some_and(|mark| mark.owner == *owner);
    let of_root = match is_of_another(behind, owner, marks) {
        true => Ok(false),
        false => root(netlink, link).context(Code::System, || {
            tried(&format!(
                "delete the root qdisc tbf {}",
                handle_text(BUCKET)
            ))
        }),
    };
    // The filters prove whose the link is: the next one that tries still needs them.
    if !is_certain && of_root.is_err() {
        return of_root;
    }
    let of_hook = match hook {
        Some(hook) => {
            let made = match living {
                [] => made(slots),
                _ => Made::No,
            };
            hooks(netlink, (behind, &hook.kind), &filters, &ifbs, made)
        }
        None => Ok(false),
    };
    match (of_hook, of_root) {
        (Ok(_), Ok(_)) if is_marked => netlink
            .set_alias(link, "")
            .context(Code::System, || tried("remove the alias"))
            .map(|()| true),
        (Ok(hook), Ok(root)) => Ok(hook || root),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(error), Err(also)) => Err(error.and(also)),
    }
}

/// Whether the hook qdisc was made for us. The reference marks nothing, and always makes one; an ifb that
/// is gone took its mark along.
fn made(slots: &[Slot]) -> Made {
    let marks: Vec<&Mark> = slots.iter().filter_map(|slot| slot.mark.as_ref()).collect();
    match marks.iter().any(|mark| mark.hook_made) {
        true => Made::Yes,
        false if marks.is_empty() => Made::IfUsed,
        false => Made::No,
    }
}

/// Deletes a token bucket with our handle. Says whether there was one.
fn root(netlink: &mut Netlink, link: u32) -> Result<bool, Refusal> {
    match qdisc::root(netlink, link)? {
        Some(root) if root.kind == "tbf" && root.handle == BUCKET => {
            qdisc::delete_root(netlink, link)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Deletes our filters, and with them the hook qdisc when it was made for them and nobody else uses
/// it. Says whether there was anything to delete. Carries on after a failure.
fn hooks<'f>(
    netlink: &mut Netlink,
    (behind, kind): (&Link, &str),
    filters: &'f [(Hook, Filter)],
    ifbs: &[u32],
    made: Made,
) -> Result<bool, Error> {
    let is_own = |filter: &Filter| observe::is_own(filter, ifbs);
    let (own, others): (Vec<_>, Vec<_>) = filters
        .iter()
        .filter(|(_, filter)| !filter.is_table())
        .partition(|(_, filter)| is_own(filter));
    let is_ours = made == Made::Yes || (made == Made::IfUsed && !own.is_empty());
    let tried = |what: String| format!("delete {what} of {}", behind.name);
    if is_ours && others.is_empty() {
        return qdisc::delete_hook(netlink, behind.index)
            .context(Code::System, || tried(format!("qdisc {kind}")))
            .map(|()| true);
    }
    let mut errors = Vec::new();
    for side in [Hook::Ingress, Hook::Egress] {
        let of_side = |filters: &[&'f (Hook, Filter)]| -> Vec<&'f Filter> {
            let filters = filters.iter().filter(|(of, _)| *of == side);
            filters.map(|(_, filter)| filter).collect()
        };
        for deletion in filter::deletions(&of_side(&own), &of_side(&others)) {
            let deleted = filter::delete(netlink, behind.index, side.parent(kind), deletion);
            let deleted = deleted.context(Code::System, || tried(format!("a filter {side}")));
            errors.extend(deleted.err());
        }
    }
    Error::all(errors).map_or(Ok(!own.is_empty()), Err)
}

fn leads_to(filter: &Filter, ifbs: &[u32]) -> bool {
    filter
        .rule
        .as_ref()
        .and_then(|rule| rule.verdict.target())
        .is_some_and(|target| ifbs.contains(&target))
}
