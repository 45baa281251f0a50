//! What would be too many rules.

use common::error::{Code, Error};

use crate::config::Config;
use crate::plan::Plan;

/// The most prefixes that an IP version's ports are limited to: each has a jump for every 15 ports, and packets
/// to other ports of the node pass all of them.
const PREFIXES: usize = 256;

/// Refuses a plan with more.
///
/// # Errors
/// Code 7 with their number and the limits.
pub fn accept(plan: &Plan, config: &Config) -> Result<(), Error> {
    for forwards in &plan.families {
        let only = forwards.only.as_ref();
        let count = only.map_or(0, |only| only.prefixes.len());
        if count > PREFIXES {
            let (family, limits) = (forwards.family, config.limits.shown());
            let msg = format!(
                "hostAddresses and hostInterfaces ({limits}) are {count} prefixes of {family}; the iptables backend accepts at most {PREFIXES}"
            );
            let remedy = "name larger prefixes, or use \"backend\": \"nftables\", which needs one set for all of them";
            return Err(Error::new(Code::InvalidConfig, msg).with_details(remedy));
        }
    }
    Ok(())
}
