//! What the kernel changes beside a sysctl that is written: DEL puts that back too.

use common::Error;
use common::sys::{file, sysctl};

use super::{DEVICE, KIND, Name};

/// Sysctls of interfaces of which `all` sets that of each one, with `default`: `devinet_sysctl_forward` in
/// net/ipv4/devinet.c and the handlers of `addrconf_sysctl` in net/ipv6/addrconf.c.
const OF_ALL: [&str; 5] = [
    "forwarding",
    "disable_ipv6",
    "ignore_routes_with_linkdown",
    "addr_gen_mode",
    "force_forwarding",
];

/// Sysctls that are another one in a coarser unit, and that other one: seconds, ticks of a hundredth of a second or
/// packets (`neigh_sysctl_table` in net/core/neighbour.c, `ipv6_route_table_template` in net/ipv6/route.c). What
/// the coarse one reads may be less than the kernel has, such as no second for 500 ms, so writing it back alone
/// would change the value.
const FINER: [(&str, &str, &str); 4] = [
    ("neigh", "base_reachable_time", "base_reachable_time_ms"),
    ("neigh", "retrans_time", "retrans_time_ms"),
    ("neigh", "unres_qlen", "unres_qlen_bytes"),
    ("route", "gc_min_interval", "gc_min_interval_ms"),
];

impl Name {
    /// The sysctls that the kernel sets when this one is written.
    ///
    /// # Errors
    /// Code 5 where it could not be found out which interfaces there are.
    pub fn beside(&self) -> Result<Vec<Name>, Error> {
        let parts: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let (family, leaf, is_each) = match parts.as_slice() {
            ["net", "ipv4", "ip_forward"] => ("ipv4", "forwarding", true),
            ["net", family, "conf", "all", leaf] if OF_ALL.contains(leaf) => (*family, *leaf, true),
            // The secret of `default` serves every interface that has none of its own.
            ["net", "ipv6", "conf", "default", "stable_secret"] => ("ipv6", "addr_gen_mode", true),
            ["net", "ipv6", "conf", _, "stable_secret"] => ("ipv6", "addr_gen_mode", false),
            _ => return Ok(self.finer().into_iter().collect()),
        };
        let of = |device: &str| {
            Name(
                ["net", family, "conf", device, leaf]
                    .map(str::to_owned)
                    .to_vec(),
            )
        };
        if !is_each {
            return Ok(parts
                .get(DEVICE)
                .map(|device| of(device))
                .into_iter()
                .collect());
        }
        let devices = devices(family)?;
        let devices = devices.iter().filter(|device| *device != "all");
        let mut all: Vec<Name> = devices.map(|device| of(device)).collect();
        if (family, leaf) == ("ipv4", "forwarding") {
            let redirects = ["net", "ipv4", "conf", "all", "accept_redirects"];
            all.push(Name(redirects.map(str::to_owned).to_vec()));
        }
        Ok(all)
    }

    /// The same value in a finer unit.
    fn finer(&self) -> Option<Name> {
        let (leaf, dir) = self.0.split_last()?;
        let kind = dir.get(KIND)?;
        let is_this = |(of, coarse, _): &&(&str, &str, &str)| of == kind && coarse == leaf;
        let (_, _, finer) = FINER.iter().find(is_this)?;
        Some(Name([dir, &[(*finer).to_owned()]].concat()))
    }
}

/// The names of interfaces that have sysctls, with `all` and `default`, in their order.
fn devices(family: &str) -> Result<Vec<String>, Error> {
    let names = file::names(&sysctl::path(&["net", family, "conf"]))?;
    let names = names.into_iter().flatten();
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}
