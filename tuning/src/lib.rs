//! `tuning`: sysctls and link attributes of a container's interface.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`config`] | what is requested, from stdin, `CNI_ARGS`, `runtimeConfig` and `args.cni` |
//! | [`keys`] | the table of its keys |
//! | [`sysctl`] | the name of a sysctl, and the file it means |
//! | [`allowlist`] | the sysctls that the administrator permits |
//! | [`plan`] | the values that the kernel is to have |
//! | [`observe`] | what it has inside the container's namespace |
//! | [`diff`], [`change`] | the steps from one to the other |
//! | [`look`] | all of that for one attachment |
//! | [`attribute`] | names and values of a link's attributes |
//! | [`meaning`] | when two texts of a sysctl are the same value |
//! | [`offload`] | offloads in ethtool's names, of the interface and of its peer |
//! | [`apply`] | ADD: makes their changes, or none |
//! | [`originals`], [`backup`] | the values before ADD, and the file that holds them |
//! | [`restore`] | puts originals back |
//! | [`remove`] | DEL and GC |
//! | [`status`] | STATUS |
//! | [`list`], [`operate`] | for the tool for people: what was changed, and by which attachment |

mod allowlist;
mod apply;
mod attribute;
mod backup;
mod change;
mod config;
mod diff;
#[cfg(any(fuzzing, test))]
pub mod fuzzed;
mod keys;
pub mod list;
mod look;
mod meaning;
mod observe;
mod offload;
mod operate;
mod originals;
mod plan;
mod remove;
mod restore;
mod status;
mod sysctl;

use std::process::ExitCode;
use std::time::Duration;

use common::keys::Key;
use common::sys::lock::Children;
use common::sys::netns::Netns;
use common::turn::{Turn, Turns};
use common::version::Version;
use common::{Added, Error, Pending, Plugin, Request, drift, step};

use config::Config;
use offload::ends::Ends;
use plan::Plan;

/// One change of an attachment at a time: what one ADD set must not be the original of another, and no DEL may remove
/// the backup of an ADD that is at work. The lock is in one place whatever `dataDir` is, as the values are the same.
const TURNS: Turns = Turns::new("/run/cni/tuning", Duration::from_secs(10));

/// The plugin.
pub struct Tuning;

impl Plugin for Tuning {
    const NAME: &'static str = "tuning";
    const VERSIONS: &'static [Version] = Version::ALL;
    const KEYS: &'static [&'static [Key]] = crate::keys::KEYS;

    fn add(request: &Request) -> Result<Added, Error> {
        let config = Config::parse(request)?;
        allowlist::permit(&config)?;
        let mut result = request.conf.required_prev_result()?;
        let store = backup::Store::new(&config.data_dir, &request.attachment);
        let plan = Plan::new(config);
        let turn = (!plan.is_empty()).then(|| TURNS.of(&request.attachment, Children::DoNotHold));
        let turn = turn.transpose()?;
        let netns = Netns::open(request.required_netns()?)?;
        let ifname = &request.attachment.ifname;
        let mut ends = offload::ends::open(&netns, ifname, &plan.sides())?;
        let undo = netns.run(|| apply::apply(&plan, request, store, &mut ends))?;
        plan.show_in(
            &mut result,
            &request.attachment.ifname,
            request.conf.version,
        );
        Ok(match undo {
            Some(undo) => Added::new(
                result,
                Made {
                    undo,
                    netns,
                    ends,
                    _turn: turn,
                },
            ),
            None => Added::nothing(result),
        })
    }

    fn check(request: &Request) -> Result<(), Error> {
        drift::verdict(&request.attachment, &step::drifts(look::steps(request)?))
    }

    fn del(request: &Request) -> Result<(), Error> {
        remove::del(request)
    }

    fn gc(request: &Request) -> Result<(), Error> {
        remove::gc(request)
    }

    fn status(request: &Request) -> Result<(), Error> {
        status::status(request)
    }
}

/// The values that an ADD set, in the attachment's turn.
struct Made {
    undo: apply::Undo,
    netns: Netns,
    ends: Ends,
    _turn: Option<Turn>,
}

impl Pending for Made {
    fn undo(mut self: Box<Self>) -> Result<(), Error> {
        let Made {
            undo, netns, ends, ..
        } = &mut *self;
        netns.run(|| undo.run(ends))
    }
}

/// The sysctl that a name of the configuration means, in the one spelling that all of its spellings share;
/// `None` for what ADD refuses. `IFNAME` stays as it is.
pub fn sysctl_meant(written: &str) -> Option<String> {
    let name = sysctl::Name::parse(written, "").ok()?;
    Some(name.text())
}

/// Handles the request in this process's environment and on stdin.
pub fn main() -> ExitCode {
    common::run::<Tuning>()
}
