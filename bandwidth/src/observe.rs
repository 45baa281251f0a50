//! What the kernel holds for an attachment now, as plain data.

use common::Attachment;
use common::error::{Code, Context, Error};
use common::result::CniResult;
use common::sys::link::Link;
use common::sys::netlink::Netlink;

use crate::ifb::{self, Evidence, Slot};
use crate::owner::{Mark, Owner};
use crate::tc::Hook;
use crate::tc::filter::{self, Filter, Verdict};
use crate::tc::qdisc::{self, Qdisc};

/// The state of a link and of the ifbs beside it.
#[derive(Debug, Clone)]
pub struct Actual {
    /// The link's root qdisc; none when it is the default one.
    pub root: Option<Qdisc>,
    /// The link's ingress or clsact qdisc.
    pub hook: Option<Qdisc>,
    /// What is on each hook, the ingress first.
    pub sides: [HookState; 2],
}

/// The state of one hook and of the ifb behind it.
#[derive(Debug, Clone)]
pub struct HookState {
    /// Which one.
    pub hook: Hook,
    /// The ifb's place.
    pub slot: Slot,
    /// The root qdisc of our ifb.
    pub bucket: Option<Qdisc>,
    /// Every filter on the hook.
    pub filters: Vec<Filter>,
    /// Ifbs with our mark to which filters on the hook lead, and which have another name by now.
    pub strays: Vec<Link>,
    /// The marks of other attachments' ifbs to which filters on the hook lead.
    pub neighbours: Vec<Mark>,
}

impl Actual {
    /// Reads the state of a link and of the attachment's ifbs.
    ///
    /// # Errors
    /// Code 100 with what the kernel refused.
    pub fn observe(
        netlink: &mut Netlink,
        attachment: &Attachment,
        link: &Link,
        result: &CniResult,
    ) -> Result<Actual, Error> {
        let evidence = Evidence {
            link: Some(link.index),
            result: Some(result),
        };
        let tried = |what: &str| format!("read the {what} of {}", link.name);
        let root = qdisc::root_and_queue(netlink, link.index)
            .context(Code::System, || tried("root qdisc"))?;
        let hook =
            qdisc::hook(netlink, link.index).context(Code::System, || tried("ingress qdisc"))?;
        let listed = match &hook {
            Some(hook) => filter::of_hooks(netlink, link.index, &hook.kind)
                .context(Code::System, || tried("filters"))?,
            None => Vec::new(),
        };
        let mut side = |which: Hook| -> Result<HookState, Error> {
            let slot = ifb::find(netlink, attachment, which, evidence)?;
            let bucket = match &slot.link {
                Some(ifb) => qdisc::root_and_queue(netlink, ifb.index)
                    .context(Code::System, || {
                        format!("read the root qdisc of {}", ifb.name)
                    })?,
                None => None,
            };
            let filters = listed.iter().filter(|(hook, _)| *hook == which);
            let filters = filters.map(|(_, filter)| filter.clone()).collect();
            Ok(HookState {
                hook: which,
                slot,
                bucket,
                filters,
                strays: Vec::new(),
                neighbours: Vec::new(),
            })
        };
        let mut sides = [side(Hook::Ingress)?, side(Hook::Egress)?];
        let owner = Owner::of(attachment);
        let known: Vec<u32> = sides.iter().filter_map(|side| side.slot.index()).collect();
        for side in &mut sides {
            for (ifb, mark) in ifb::led_to(netlink, side.filters.iter(), &known)? {
                match mark.owner == owner {
                    true => side.strays.push(ifb),
                    false => side.neighbours.push(mark),
                }
            }
        }
        Ok(Actual { root, hook, sides })
    }

    /// The state of a hook.
    pub fn side(&self, hook: Hook) -> &HookState {
        let [ingress, egress] = &self.sides;
        match hook {
            Hook::Ingress => ingress,
            Hook::Egress => egress,
        }
    }

    /// Whether another tool has filters on any hook.
    pub fn has_others(&self) -> bool {
        self.sides.iter().any(|side| side.others().next().is_some())
    }
}

impl HookState {
    /// Our filters, in the order in which packets meet them.
    pub fn own(&self) -> impl Iterator<Item = &Filter> {
        let ifbs = self.ifbs();
        self.filters
            .iter()
            .filter(move |filter| is_own(filter, &ifbs))
    }

    /// Everybody else's filters.
    pub fn others(&self) -> impl Iterator<Item = &Filter> {
        let ifbs = self.ifbs();
        self.filters
            .iter()
            .filter(move |f| !f.is_table() && !is_own(f, &ifbs))
    }

    /// What our ifb says about itself, also one that has another name by now.
    pub fn mark(&self) -> Option<Mark> {
        let strays = self.strays.iter().filter_map(Mark::of);
        self.slot.mark.clone().into_iter().chain(strays).next()
    }

    fn ifbs(&self) -> Vec<u32> {
        let strays = self.strays.iter().map(|stray| stray.index);
        self.slot.index().into_iter().chain(strays).collect()
    }
}

/// Whether a filter is ours: it leads to one of our ifbs or to one that is gone, or it lets pass with
/// our flowid.
pub fn is_own(filter: &Filter, ifbs: &[u32]) -> bool {
    let Some(rule) = &filter.rule else {
        return false;
    };
    match &rule.verdict {
        Verdict::Pass | Verdict::Redirect(0) => true,
        verdict => verdict
            .target()
            .is_some_and(|target| ifbs.contains(&target)),
    }
}
