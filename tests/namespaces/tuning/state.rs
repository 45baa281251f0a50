//! All that tuning could change in a container, read by other means than ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use sandbox::Namespace;
use serde_json::Value;

/// The attributes of a link that tuning sets, and how many want it promiscuous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub mac: String,
    pub mtu: u64,
    pub txqlen: u64,
    pub promisc: bool,
    pub allmulti: bool,
    pub promiscuity: u64,
}

/// All that tuning could change in a container. [`assert_state`] compares.
#[derive(Clone)]
pub struct State {
    pub link: Option<Link>,
    pub sysctls: BTreeMap<String, String>,
}

impl State {
    /// What is different in `later`, a line each.
    pub fn diff(&self, later: &State) -> Vec<String> {
        let mut lines = Vec::new();
        if self.link != later.link {
            lines.push(format!("{:?} → {:?}", self.link, later.link));
        }
        let keys = self.sysctls.keys().chain(later.sysctls.keys());
        for key in keys.collect::<BTreeSet<_>>() {
            let (old, new) = (self.sysctls.get(key), later.sysctls.get(key));
            if old != new {
                lines.push(format!("{key}: {old:?} → {new:?}"));
            }
        }
        lines
    }
}

/// Asserts that a state is as an earlier one; a message may follow.
macro_rules! assert_state {
    ($state:expr, $before:expr $(, $($told:tt)+)?) => {
        let differences = $before.diff(&$state);
        assert!(differences.is_empty(), "{differences:#?} {}", String::new() $(+ &format!($($told)+))?);
    };
}
pub(crate) use assert_state;

/// What `ip` says of a namespace's `eth0`.
pub fn link_in(namespace: &Namespace) -> Option<Link> {
    let text = namespace
        .try_sh(&["ip", "-j", "-d", "link", "show", "eth0"])
        .ok()?;
    let link = &serde_json::from_str::<Value>(&text).unwrap()[0];
    let flags: Vec<&str> = link["flags"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    Some(Link {
        mac: link["address"].as_str()?.to_owned(),
        mtu: link["mtu"].as_u64()?,
        // `ip` leaves a length of 0 out.
        txqlen: link["txqlen"].as_u64().unwrap_or(0),
        promisc: flags.contains(&"PROMISC"),
        allmulti: flags.contains(&"ALLMULTI"),
        promiscuity: link["promiscuity"].as_u64()?,
    })
}

/// Every readable sysctl of the calling thread's namespace that only an administrator changes.
pub fn sysctls() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![PathBuf::from("/proc/sys/net")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.insert(path.display().to_string(), text);
            }
        }
    }
    // Random, or counted by the kernel itself, or of the whole machine.
    let own = [
        "tcp_fastopen_key",
        "nf_conntrack_count",
        "random",
        "/net/netfilter/",
        "entropy",
    ];
    found.retain(|path, _| !own.iter().any(|own| path.contains(own)));
    found
}
