//! Whether an attachment can have conditions, before anything is written.

use common::Family;
use common::error::Error;

use super::compiled::Compiled;
use super::families::usual;
use super::rules::all_wanted;
use crate::config::Config;
use crate::plan::Plan;

/// A plan of one of its ports, which is as good as all of them for conditions.
pub fn one_port(plan: &Plan) -> Plan {
    let mut one = plan.clone();
    for forwards in &mut one.families {
        forwards.ports.truncate(1);
        let ports = forwards.ports.iter().map(|forward| forward.port);
        forwards.listed = ports.map(|port| (port.protocol, port.number)).collect();
    }
    one
}

/// Whether an attachment can have the conditions of an IP version.
///
/// # Errors
/// As [`Compiled::in_hooks`].
pub fn try_conditions(plan: &Plan, config: &Config, family: Family) -> Result<(), Error> {
    all_wanted(plan, config, &[family])
        .iter()
        .try_for_each(|wanted| Compiled::in_hooks(&usual(family)?, wanted).map(drop))
}
