//! What an attachment has, and what it is to have: configuration and kernel, as every verb but DEL and
//! GC sees them.

use common::error::Error;
use common::log::Log;
use common::result::CniResult;
use common::{Attachment, Request};

use crate::apply;
use crate::change::Step;
use crate::config::Config;
use crate::diff::{Difference, PRIORITIES};
use crate::observe::{Actual, HookState};
use crate::owner::{Mark, Owner};
use crate::place::Place;
use crate::plan::{Facts, Plan};
use crate::tc::Hook;
use crate::tc::qdisc::HookKind;

/// What is there, and what is to be.
pub struct Look {
    /// Where the limits are.
    pub place: Place,
    /// What the kernel is to hold.
    pub plan: Plan,
    /// What it holds.
    pub actual: Actual,
    mark: Mark,
    priority: u16,
    /// The names of the result's interfaces.
    kept: Vec<String>,
    /// See [`Difference::is_whole`].
    is_whole: bool,
}

impl Look {
    /// Looks at a request's attachment; `None` where nothing is limited.
    ///
    /// # Errors
    /// As CHECK's, except for the drifts.
    pub fn at(request: &Request) -> Result<Option<Look>, Error> {
        let config = Config::parse(request)?;
        let result = request.conf.required_prev_result()?;
        match config.is_off() {
            true => Ok(None),
            false => Look::new(request, &config, &result).map(Some),
        }
    }

    /// Looks at an attachment with all its requests, one for each time that the plugin is in its chain;
    /// `None` where they limit nothing.
    ///
    /// # Errors
    /// As CHECK's, except for the drifts.
    pub fn whole(requests: &[Request]) -> Result<Option<Look>, Error> {
        let mut look: Option<Look> = None;
        for request in requests {
            let config = Config::parse(request)?;
            look = match look {
                _ if config.is_off() => look,
                None => {
                    let result = request.conf.required_prev_result()?;
                    let look = Look::new(request, &config, &result)?;
                    Some(Look {
                        kept: Vec::new(),
                        is_whole: true,
                        ..look
                    })
                }
                Some(look) => {
                    let more = Plan::new(&config, &facts(&look.place, &look.actual));
                    let plan = look.plan.and(more);
                    Some(Look { plan, ..look })
                }
            };
        }
        Ok(look)
    }

    /// Looks at a request's attachment.
    ///
    /// # Errors
    /// Code 7 or 8 where nothing can be limited, code 100 when the kernel does not say.
    pub fn new(request: &Request, config: &Config, result: &CniResult) -> Result<Look, Error> {
        let attachment = &request.attachment;
        let mut place = Place::of(request)?;
        place.matches(attachment, result)?;
        let actual = Actual::observe(&mut place.netlink, attachment, &place.link, result)?;
        let plan = Plan::new(config, &facts(&place, &actual));
        Ok(Look {
            mark: mark(attachment, &place, &plan, &actual),
            priority: config.filter_priority.unwrap_or(priority(&actual)),
            kept: result.interfaces.iter().map(|i| i.name.clone()).collect(),
            is_whole: false,
            place,
            plan,
            actual,
        })
    }

    /// Removes what an older limit left. Gives what could not be removed.
    ///
    /// # Errors
    /// As ADD's.
    pub fn remove_leftovers(&mut self, log: &Log) -> Result<Vec<Error>, Error> {
        let difference = self.difference();
        // The ifb that goes may be the only thing that says whose the rest is.
        let mark = difference.mark_of_link().into_iter();
        let steps = mark.chain(difference.leftovers()).collect();
        let Look {
            place,
            plan,
            actual,
            ..
        } = self;
        let at = (&place.link, &*plan, &*actual);
        let done = apply::apply(&mut place.netlink, log, at, steps)?;
        if done.changed {
            log.changed(format!("removed former limits of {}", plan.link));
        }
        Ok(done.finish(&mut place.netlink, &place.link))
    }

    /// The difference, where the reference's numbers are as good as ours.
    pub fn difference(&self) -> Difference<'_> {
        Difference {
            accepts_reference: true,
            plan: &self.plan,
            actual: &self.actual,
            link: &self.place.link,
            mark: &self.mark,
            priority: self.priority,
            kept: &self.kept,
            is_whole: self.is_whole,
        }
    }
}

/// How an attachment differs from its plan, in steps: to CHECK, which accepts the reference's numbers, or to
/// the tool for people, which puts them right.
///
/// # Errors
/// As [`Look::at`].
pub fn steps(request: &Request, accepts_reference: bool) -> Result<Vec<Step>, Error> {
    let look = Look::at(request)?;
    let steps = |look: &Look| {
        let difference = Difference {
            accepts_reference,
            ..look.difference()
        };
        difference.steps()
    };
    Ok(look.as_ref().map_or_else(Vec::new, steps))
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
    let was_made = |side: &HookState| match side.mark() {
        Some(mark) => mark.hook_made,
        // The reference always makes an ingress qdisc of its own.
        None => side.hook == Hook::Ingress && side.own().next().is_some(),
    };
    // Another container with the same namespace: the last one to go takes the hook along.
    let is_shared = |side: &HookState| side.neighbours.iter().any(|m| m.hook_made);
    let sides = &actual.sides;
    let clsact = HookKind::Clsact.text();
    let is_clsact = actual.hook.as_ref().is_some_and(|hook| hook.kind == clsact);
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

/// Where our filters are: first as the reference's where nobody else is, else after everybody,
/// since what is redirected is seen by no later filter.
fn priority(actual: &Actual) -> u16 {
    match actual.has_others() {
        false => 1,
        true => u16::MAX - 2 * PRIORITIES + 1,
    }
}
