//! The main plugin that is built in: a veth pair with static addresses.
//!
//! With it a chain can be tried without any plugin installed. The gateway is the host's
//! end of the pair, as with the plugin `ptp`: the container reaches everything through it, also its
//! own subnet, so that containers reach each other through the host.
//!
//! | file     | what it knows                                                  |
//! | -------- | -------------------------------------------------------------- |
//! | config   | addresses, routes and link attributes, valid                   |
//! | plan     | what both ends get                                             |
//! | kernel   | creates and removes links, adds addresses and routes           |
//! | message  | links, addresses and routes as netlink messages                |

mod config;
mod kernel;
mod message;
mod plan;

use std::process::ExitCode;

use common::drift::verdict;
use common::keys::{Key, Kind, key};
use common::netconf::ValidAttachment;
use common::sys::netlink::Netlink;
use common::version::Version;
use common::{Added, Attachment, Code, Context, Error, Pending, Plugin, Request};
use config::Config;
use plan::Plan;

/// The `type` of the plugin, and the name the binary must be called by to be it.
pub const NAME: &str = "veth";

/// Handles the request in this process's environment and on stdin.
pub fn main() -> ExitCode {
    common::run::<Veth>()
}

struct Veth;

impl Plugin for Veth {
    const NAME: &'static str = NAME;
    const VERSIONS: &'static [Version] = Version::WITH_INTERFACES;
    const KEYS: &'static [&'static [Key]] =
        &[&[key("addresses", Kind::Any), key("mac", Kind::Text)]];

    fn add(request: &Request) -> Result<Added, Error> {
        let plan = plan(request)?;
        let macs = kernel::add(&plan, request.required_netns()?)?;
        let result = plan.result(&macs, request.required_netns()?);
        Ok(Added::new(result, Pair(plan.host.name)))
    }

    fn check(request: &Request) -> Result<(), Error> {
        let prev_result = request.conf.required_prev_result()?;
        let plan = plan(request)?.after_chain(&prev_result);
        let drifts = kernel::drifts(&plan, request.required_netns()?)?;
        verdict(&request.attachment, &drifts)
    }

    /// The host's end is enough: its peer goes with it, and a container's namespace took both along.
    fn del(request: &Request) -> Result<(), Error> {
        kernel::remove(&plan::host_name(&request.attachment))
    }

    fn gc(request: &Request) -> Result<(), Error> {
        let network = &request.conf.name;
        let name = |valid: ValidAttachment| {
            plan::host_name(&Attachment {
                network: network.to_owned(),
                container: valid.container,
                ifname: valid.ifname,
            })
        };
        let alive = request.conf.valid_attachments()?.into_iter().map(name);
        let alive: Vec<String> = alive.collect();
        kernel::remove_except(&plan::alias(network), &alive)
    }

    fn status(_: &Request) -> Result<(), Error> {
        Netlink::route()
            .map(drop)
            .context(Code::NotAvailable, || "veth pairs cannot be created".into())
    }
}

/// The host's end of a pair that ADD made: it fails where there is one already.
struct Pair(String);

impl Pending for Pair {
    fn undo(self: Box<Self>) -> Result<(), Error> {
        kernel::remove(&self.0)
    }
}

fn plan(request: &Request) -> Result<Plan, Error> {
    let config = Config::read(request.conf.object())?;
    Ok(Plan::new(&config, &request.attachment))
}
