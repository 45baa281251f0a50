//! Sysctls of the calling thread's network namespace.

use std::collections::BTreeMap;
use std::fs;

use sysctl::{Ctl, CtlIter, Sysctl, SysctlError};

const ROOT: &str = "/proc/sys/";

/// Of the whole machine, or set by the kernel itself.
const OTHERS: [&str; 2] = ["net/netfilter/", "net/ipv4/tcp_fastopen_key"];

/// Reads every sysctl that can be read. Those of links have the link's name in the key, dots and all,
/// so the keys have slashes: `net/ipv4/conf/eth0.100/route_localnet`.
pub(super) fn read() -> BTreeMap<String, String> {
    let net = Ctl::new("net").into_iter();
    let all = net.flat_map(CtlIter::below).filter_map(value);
    all.filter(|(key, _)| !OTHERS.iter().any(|other| key.starts_with(other)))
        .collect()
}

/// Write-only keys, and secrets that are not set, cannot be read: they are no state.
fn value(ctl: Result<Ctl, SysctlError>) -> Option<(String, String)> {
    let (path, value) = match ctl {
        Ok(ctl) => (ctl.path(), ctl.value_string().ok()?),
        // Of a link with a dot in its name, which the crate turns into a slash.
        Err(SysctlError::NotFound(path)) => {
            let value = fs::read_to_string(&path).ok()?.trim().to_owned();
            (path, value)
        }
        Err(_) => return None,
    };
    Some((path.strip_prefix(ROOT)?.to_owned(), value))
}
