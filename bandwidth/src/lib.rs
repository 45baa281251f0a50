//! `bandwidth`: limits what a container sends and receives.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`config`], [`amount`], [`subnets`] | what the configuration requests |
//! | [`keys`] | the table of its keys |
//! | [`plan`], [`tbf`], [`queue`] | what the kernel is to hold |
//! | [`place`], [`ifb`], [`owner`] | where it is to hold that, and its owner |
//! | [`observe`], [`tc`] | what it holds |
//! | [`look`] | all of that for one attachment |
//! | [`diff`], [`change`] | the steps from one to the other |
//! | [`apply`] | ADD: makes their changes, or none |
//! | [`remove`] | DEL and GC |
//! | [`status`] | STATUS |
//! | [`list`], [`operate`], [`mod@scaled`] | for the tool for people |

mod amount;
mod apply;
mod change;
mod config;
mod diff;
#[cfg(any(fuzzing, test))]
pub mod fuzzed;
mod ifb;
mod keys;
pub mod list;
mod look;
mod observe;
mod operate;
mod owner;
mod place;
mod plan;
mod queue;
mod remove;
mod scaled;
mod status;
mod subnets;
mod tbf;
mod tc;

use std::process::ExitCode;
use std::time::Duration;

use common::keys::Key;
use common::log::Log;
use common::result::{CniResult, Interface};
use common::sys::link::Link;
use common::sys::lock::Children;
use common::turn::{Turn, Turns};
use common::version::Version;
use common::{Added, Error, Pending, Plugin, Request, drift, step};

use apply::Done;
use config::Config;
use look::Look;
use place::Place;

pub use amount::text_in_bits;
pub use scaled::scaled;
pub use tc::notice;

/// One change of an attachment at a time: no two ADDs may add the same filters, and no DEL may remove what an ADD that
/// is at work has made.
const TURNS: Turns = Turns::new("/run/cni/bandwidth", Duration::from_secs(10));

/// The plugin.
pub struct Bandwidth;

impl Plugin for Bandwidth {
    const NAME: &'static str = "bandwidth";
    const VERSIONS: &'static [Version] = Version::WITH_INTERFACES;
    const KEYS: &'static [&'static [Key]] = crate::keys::KEYS;

    fn add(request: &Request) -> Result<Added, Error> {
        let config = Config::parse(request)?;
        let mut result = request.conf.required_prev_result()?;
        if config.is_off() {
            return Ok(Added::nothing(result));
        }
        let turn = TURNS.of(&request.attachment, Children::DoNotHold)?;
        let mut look = Look::new(request, &config, &result)?;
        let log = &request.log;
        look.plan
            .too_small()
            .into_iter()
            .for_each(|bucket| log.warn(bucket));
        let steps = look.difference().steps();
        let Look {
            place,
            plan,
            actual,
            ..
        } = &mut look;
        let at = (&place.link, &*plan, &*actual);
        let done = apply::apply(&mut place.netlink, log, at, steps)?;
        if done.changed {
            log.changed(format!("limited {}: {}", plan.link, config.limits()));
        }
        for ifb in done.ifbs() {
            insert(&mut result, interface(ifb, place, request.conf.version));
        }
        let log = log.clone();
        let made = Made {
            done,
            place: look.place,
            log,
            _turn: turn,
        };
        Ok(Added::new(result, made))
    }

    fn check(request: &Request) -> Result<(), Error> {
        drift::verdict(
            &request.attachment,
            &step::drifts(look::steps(request, true)?),
        )
    }

    fn del(request: &Request) -> Result<(), Error> {
        remove::del(request)
    }

    fn gc(request: &Request) -> Result<(), Error> {
        remove::gc(request)
    }

    fn status(request: &Request) -> Result<(), Error> {
        let config = Config::parse(request)?;
        status::probe(config.queue)
    }
}

/// The changes that an ADD made, in the attachment's turn.
struct Made {
    done: Done,
    place: Place,
    log: Log,
    _turn: Turn,
}

impl Pending for Made {
    fn keep(self: Box<Self>) {
        let Made {
            done,
            mut place,
            log,
            _turn,
        } = *self;
        let left = done.finish(&mut place.netlink, &place.link);
        left.into_iter().for_each(|error| log.warn(error));
    }

    fn undo(self: Box<Self>) -> Result<(), Error> {
        let Made {
            done,
            mut place,
            log: _,
            _turn,
        } = *self;
        done.undo(&mut place.netlink, &place.link)
    }
}

/// Handles the request in this process's environment and on stdin.
pub fn main() -> ExitCode {
    common::run::<Bandwidth>()
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
