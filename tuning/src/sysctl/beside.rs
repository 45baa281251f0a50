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

/// Two sysctls that are one value of the kernel's, the first in a coarser unit: seconds, ticks of a hundredth of a
/// second or packets (`neigh_sysctl_table` in net/core/neighbour.c, `ipv6_route_table_template` in
/// net/ipv6/route.c). What the coarse one reads may be less than the kernel has, such as no second for 500 ms, so
/// writing it back alone would change the value.
const TWINS: [(&str, &str, &str); 4] = [
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
            // Interfaces follow `default` until they have an address or theirs is set (`devinet_copy_dflt_conf`
            // in net/ipv4/devinet.c), except for this one.
            ["net", "ipv4", "conf", "default", leaf] if *leaf != "forwarding" => {
                ("ipv4", *leaf, true)
            }
            // The secret of `default` serves every interface that has none of its own.
            ["net", "ipv6", "conf", "default", "stable_secret"] => ("ipv6", "addr_gen_mode", true),
            ["net", "ipv6", "conf", _, "stable_secret"] => ("ipv6", "addr_gen_mode", false),
            _ => return Ok(self.twin().into_iter().collect()),
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
            // These two are one value.
            let forward = ["net", "ipv4", "ip_forward"];
            all.extend([of("all"), Name(forward.map(str::to_owned).to_vec())]);
        }
        all.retain(|name| name != self);
        Ok(all)
    }

    /// The sysctl that the kernel sets to a link's MTU when that changes (`addrconf_notify` in
    /// net/ipv6/addrconf.c).
    pub fn beside_mtu(ifname: &str) -> Name {
        Name(
            ["net", "ipv6", "conf", ifname, "mtu"]
                .map(str::to_owned)
                .to_vec(),
        )
    }

    /// The same value in another unit.
    fn twin(&self) -> Option<Name> {
        let (leaf, dir) = self.0.split_last()?;
        let kind = dir.get(KIND)?;
        let other = |(of, coarse, fine): &(&str, &'static str, &'static str)| match leaf {
            leaf if of == kind && coarse == leaf => Some(*fine),
            leaf if of == kind && fine == leaf => Some(*coarse),
            _ => None,
        };
        let other = TWINS.iter().find_map(other)?;
        Some(Name([dir, &[other.to_owned()]].concat()))
    }
}

/// The names of interfaces that have sysctls, with `all` and `default`, in their order.
fn devices(family: &str) -> Result<Vec<String>, Error> {
    let names = file::names(&sysctl::path(&["net", family, "conf"]))?;
    let names = names.into_iter().flatten();
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}
