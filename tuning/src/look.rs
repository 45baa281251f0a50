//! How an attachment differs from its plan, for CHECK and the tool for people.

use common::sys::netns::Netns;
use common::{Error, Request};

use crate::backup::{Shown, Store};
use crate::change::Step;
use crate::config::Config;
use crate::diff;
use crate::observe::Container;
use crate::offload::ends;
use crate::plan::Plan;

/// The steps back to what ADD left.
///
/// # Errors
/// Why it could not be found out.
pub fn steps(request: &Request) -> Result<Vec<Step>, Error> {
    steps_by(request, Store::shown)
}

/// The same, where `shown` gives how the kernel showed what ADD wrote.
///
/// # Errors
/// As [`steps`].
pub fn steps_by(
    request: &Request,
    shown: impl FnOnce(&Store) -> Result<Vec<Shown>, Error>,
) -> Result<Vec<Step>, Error> {
    let config = Config::parse(request)?;
    let store = Store::new(&config.data_dir, &request.attachment);
    let plan = Plan::new(config);
    request.conf.required_prev_result()?;
    let netns = Netns::open(request.required_netns()?)?;
    let ifname = &request.attachment.ifname;
    let mut ends = ends::open(&netns, ifname, &plan.sides())?;
    let actual = netns.run(|| Container::open(ifname)?.observe(&plan, &mut ends))?;
    let steps = diff::steps(&plan, &actual, ifname, &[])?;
    match steps.iter().any(|step| step.drift.is_some()) {
        true => diff::steps(&plan, &actual, ifname, &shown(&store)?),
        false => Ok(steps),
    }
}
