//! CHECK: compares the kernel with the plan.

use common::sys::netns::Netns;
use common::{Drift, Error, Request, drift};

use crate::backup::{Shown, Store};
use crate::config::Config;
use crate::kernel::Container;
use crate::offload::ends;
use crate::plan::{Plan, Unmet};

/// Looks for everything that is configured and is no longer as ADD left it.
///
/// # Errors
/// Code 101 with every drift, or why it could not be found out.
pub fn check(request: &Request) -> Result<(), Error> {
    let drifts: Vec<Drift> = unmet(request)?.into_iter().map(|one| one.drift).collect();
    drift::verdict(&request.attachment, &drifts)
}

/// Everything that is configured and is no longer as ADD left it.
///
/// # Errors
/// Why it could not be found out.
pub fn unmet(request: &Request) -> Result<Vec<Unmet>, Error> {
    let config = Config::parse(request)?;
    let store = Store::new(&config.data_dir, &request.attachment);
    let plan = Plan::new(config);
    request.conf.required_prev_result()?;
    let netns = Netns::open(request.required_netns()?)?;
    let ifname = &request.attachment.ifname;
    let mut ends = ends::open(&netns, ifname, &plan.sides())?;
    let actual = netns.run(|| Container::open(ifname)?.observe(&plan, &mut ends))?;
    let mut unmet = plan.unmet(&actual, ifname, &[]);
    if !unmet.is_empty() {
        unmet = plan.unmet(&actual, ifname, &shown(&store)?);
    }
    unmet.extend(plan.offloads_unmet(&actual)?);
    Ok(unmet)
}

/// How the kernel showed what ADD wrote, where ADD found that worth a note.
fn shown(store: &Store) -> Result<Vec<Shown>, Error> {
    let (all, errors) = store.all();
    match Error::all(errors) {
        Some(error) => Err(error),
        None => Ok(all
            .into_iter()
            .flat_map(|saved| saved.backup.shown)
            .collect()),
    }
}
