//! The name of a sysctl, and the file below /proc/sys that it means.

mod beside;

use std::path::PathBuf;

use common::sys::sysctl;

/// The container's interface, in a name.
const IFNAME: &str = "IFNAME";

/// Position of what the directory is about: `conf`, `neigh` or `route`.
const KIND: usize = 2;
/// Position of the interface in `net/ipv4/conf/eth0/arp_filter` and its like.
const DEVICE: usize = 3;

/// A sysctl of the network, by the parts of its path: `["net", "core", "somaxconn"]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<String>);

/// The longest name in bytes. The kernel's longest has fewer than a hundred.
const LONGEST: usize = 255;

impl Name {
    /// Reads a name as it is written in a configuration, for the interface `ifname`. An empty
    /// `ifname` leaves the word IFNAME as it is.
    ///
    /// As in sysctl(8) the first separator decides: names with dots may hold a slash where the part
    /// has a dot, names with slashes are paths. Where that leaves a dot outside an interface's name
    /// (`net.ipv4/ip_forward`) every dot separates, as in the reference, and where it cuts an
    /// interface's name into pieces (`net.ipv4.conf.eth0.100.arp_filter`) they are put together.
    ///
    /// # Errors
    /// Why it cannot be the name of a sysctl of the network.
    pub fn parse(written: &str, ifname: &str) -> Result<Name, &'static str> {
        if written.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("the name of a sysctl must not contain white space or control characters");
        }
        if written.len() > LONGEST {
            return Err("the name of a sysctl must be at most 255 bytes long");
        }
        let mut parts = split(written);
        if parts.iter().any(|p| p.is_empty() || p == "." || p == "..") {
            return Err("the name of a sysctl must not contain empty parts, . or ..");
        }
        if parts.first().is_none_or(|first| first != "net") || parts.len() < 2 {
            return Err("only sysctls below net are per container");
        }
        if !ifname.is_empty()
            && let Some(part) = parts.iter_mut().find(|part| part.contains(IFNAME))
        {
            *part = part.replacen(IFNAME, ifname, 1);
        }
        Ok(Name(parts))
    }

    /// Its name with slashes, in which `eth0.100` and `eth0/100` differ.
    pub fn text(&self) -> String {
        self.0.join("/")
    }

    /// A value as messages may have it. Keys stay secret: whoever has that of TCP Fast Open can
    /// forge cookies, and whoever has that of stable addresses knows those to come.
    pub fn shown<'v>(&self, value: &'v str) -> &'v str {
        match self.leaf() {
            "stable_secret" | "tcp_fastopen_key" => "(secret)",
            _ => value,
        }
    }

    /// The same sysctl of another interface, or itself where it is not an interface's. `None` where it is
    /// not known which part the interface is.
    pub fn of(&self, ifname: &str) -> Option<Name> {
        let mut parts = self.0.clone();
        let is_kept = |device: &str| matches!(device, "all" | "default");
        match parts.get_mut(DEVICE).filter(|_| has_device(&self.0)) {
            Some(device) if !is_kept(device) => ifname.clone_into(device),
            _ => {}
        }
        let is_known = parts.iter().all(|part| !part.contains(IFNAME));
        is_known.then_some(Name(parts))
    }

    /// Whether it is the secret of stable addresses, which has no value before one is set.
    pub fn is_stable_secret(&self) -> bool {
        self.leaf() == "stable_secret"
    }

    /// Whether it is of IPv6 on an interface.
    pub fn is_of_ipv6_on(&self, ifname: &str) -> bool {
        let parts: Vec<&str> = self.0.iter().map(String::as_str).collect();
        matches!(parts.as_slice(), ["net", "ipv6", "conf" | "neigh", device, _] if *device == ifname)
    }

    fn leaf(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        sysctl::path(&self.0)
    }
}

fn split(written: &str) -> Vec<String> {
    let (separator, inner) = match written.find(['.', '/']) {
        Some(at) if written.get(at..=at) == Some(".") => ('.', "/"),
        _ => ('/', "."),
    };
    let parts: Vec<String> = written
        .split(separator)
        .map(|part| part.replace(inner, "."))
        .collect();
    let has_device = has_device(&parts);
    let misplaced = |(position, part): (usize, &String)| {
        part.contains('.') && !(has_device && position == DEVICE)
    };
    if parts.iter().enumerate().any(misplaced) {
        return join_device(written.split(['.', '/']).map(str::to_owned).collect());
    }
    join_device(parts)
}

/// Whether the parts are those of `net/<family>/conf/<device>/<leaf>` or `…/neigh/…`.
fn has_device(parts: &[String]) -> bool {
    parts
        .get(KIND)
        .is_some_and(|part| part == "conf" || part == "neigh")
        && parts.len() > DEVICE + 1
}

/// Directories of devices hold plain files, so everything between is the device's name.
fn join_device(parts: Vec<String>) -> Vec<String> {
    match parts.as_slice() {
        [net, family, kind, device @ .., leaf] if has_device(&parts) => {
            let device = match device.iter().any(String::is_empty) {
                // An empty part stays one, and is refused.
                true => String::new(),
                false => device.join("."),
            };
            vec![
                net.clone(),
                family.clone(),
                kind.clone(),
                device,
                leaf.clone(),
            ]
        }
        _ => parts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(written: &str, ifname: &str) -> Result<String, &'static str> {
        Name::parse(written, ifname).map(|name| name.text())
    }

    #[test]
    fn a_sysctl_of_an_interface_is_found_on_another_one() {
        for (written, on_lo) in [
            ("net.core.somaxconn", Some("net/core/somaxconn")),
            (
                "net.ipv4.conf.IFNAME.arp_filter",
                Some("net/ipv4/conf/lo/arp_filter"),
            ),
            (
                "net/ipv6/neigh/eth0.1/mcast_solicit",
                Some("net/ipv6/neigh/lo/mcast_solicit"),
            ),
            (
                "net.ipv4.conf.all.arp_filter",
                Some("net/ipv4/conf/all/arp_filter"),
            ),
            ("net.odd.IFNAME", None),
        ] {
            let name = Name::parse(written, "").unwrap().of("lo");
            assert_eq!(name.map(|name| name.text()).as_deref(), on_lo, "{written}");
        }
    }

    #[test]
    fn every_spelling_means_the_file_that_is_meant() {
        let cases = [
            ("net.core.somaxconn", "net/core/somaxconn"),
            ("net/core/somaxconn", "net/core/somaxconn"),
            ("net.ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4.ip_forward", "net/ipv4/ip_forward"),
            (
                "net.ipv4.conf.IFNAME.arp_filter",
                "net/ipv4/conf/eth0.100/arp_filter",
            ),
            (
                "net/ipv4/conf/IFNAME/arp_filter",
                "net/ipv4/conf/eth0.100/arp_filter",
            ),
            (
                "net.ipv4.conf/IFNAME.arp_filter",
                "net/ipv4/conf/eth0.100/arp_filter",
            ),
            (
                "net/ipv4/conf/eth1.7/arp_filter",
                "net/ipv4/conf/eth1.7/arp_filter",
            ),
            (
                "net.ipv4.conf.eth1/7.arp_filter",
                "net/ipv4/conf/eth1.7/arp_filter",
            ),
            (
                "net.ipv4.conf.eth1.7.arp_filter",
                "net/ipv4/conf/eth1.7/arp_filter",
            ),
            (
                "net.ipv6.neigh.eth1.7.8.gc_stale_time",
                "net/ipv6/neigh/eth1.7.8/gc_stale_time",
            ),
            (
                "net.ipv4.conf.xIFNAMEy.arp_filter",
                "net/ipv4/conf/xeth0.100y/arp_filter",
            ),
        ];
        for (written, expected) in cases {
            assert_eq!(
                text(written, "eth0.100").as_deref(),
                Ok(expected),
                "{written}"
            );
        }
    }

    #[test]
    fn without_an_interface_its_placeholder_stays() {
        let text = text("net.ipv4.conf.IFNAME.arp_filter", "");
        assert_eq!(text.as_deref(), Ok("net/ipv4/conf/IFNAME/arp_filter"));
    }

    #[test]
    fn what_leads_out_of_net_or_nowhere_is_refused() {
        for written in [
            "",
            "net",
            "net.",
            "kernel.hostname",
            "vm.swappiness",
            "NET.core.somaxconn",
            ".net.core.somaxconn",
            "/net/core/somaxconn",
            "/proc/sys/net/core/somaxconn",
            "net..core.somaxconn",
            "net//core/somaxconn",
            "net/core/",
            "net/../kernel/hostname",
            "net/ipv4/../../kernel/hostname",
            "../net/core/somaxconn",
            "./net/core/somaxconn",
            "net/./core/somaxconn",
            "net.ipv4.conf.../.../arp_filter",
            "net.ipv4.conf.//.kernel",
            "net.//.//.kernel.hostname",
            "net/ipv4/conf/../arp_filter",
            "net/ipv4/conf/./arp_filter",
            "network.core.somaxconn",
            "net.core.somaxconn\n",
            "net.core. somaxconn",
            "net.core.somaxconn\0",
        ] {
            assert!(
                text(written, "eth0").is_err(),
                "{written:?}: {:?}",
                text(written, "eth0")
            );
        }
    }
}
