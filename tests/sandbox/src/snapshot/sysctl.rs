//! Sysctls of the calling thread's network namespace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const ROOT: &str = "/proc/sys";

/// Reads every sysctl that can be read. Those of links have the link's name in the key, dots and all,
/// so the keys have slashes: `net/ipv4/conf/eth0.100/route_localnet`.
pub(super) fn read() -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for directory in ["net/core", "net/ipv4", "net/ipv6"] {
        read_files(&Path::new(ROOT).join(directory), &mut values);
    }
    for directory in ["net/ipv4/conf", "net/ipv6/conf"] {
        let links = fs::read_dir(Path::new(ROOT).join(directory))
            .into_iter()
            .flatten()
            .flatten();
        links.for_each(|link| read_files(&link.path(), &mut values));
    }
    values
}

fn read_files(directory: &Path, values: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        // Directories, write-only keys and secrets that are not set cannot be read: they are no state.
        let Ok(value) = fs::read_to_string(&path) else {
            continue;
        };
        let key = path
            .strip_prefix(ROOT)
            .unwrap_or(&path)
            .display()
            .to_string();
        values.insert(key, value.trim_end_matches('\n').to_owned());
    }
}
