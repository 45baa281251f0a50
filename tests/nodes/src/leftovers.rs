//! What is left on a machine after its containers have gone.

use std::io;

use sandbox::Snapshot;

use crate::Machine;
use crate::chain::Network;

/// How the names of all chains begin that portmap makes once for the node.
const SHARED_CHAINS: &str = "CNI-HOSTPORT-";

/// Names of the files that host-local keeps for a network: its lock, and the address it gave last.
const HOST_LOCAL: [&str; 2] = ["lock", "last_reserved_ip."];

/// Everything that is on the machine and was not `before`, but for what belongs to the node and not to a
/// container: the bridge, and portmap's shared chains. One line each.
///
/// # Errors
/// When the state cannot be read.
pub fn find(machine: &Machine, network: &Network, before: &Snapshot) -> io::Result<Vec<String>> {
    let mut lines = before.diff(&Snapshot::take(&machine.net.host)?);
    lines.retain(|line| !line.contains(network.bridge) && !is_shared(line));
    let addresses = format!("/var/lib/cni/networks/{}", network.name);
    for directory in [
        addresses.as_str(),
        "/var/lib/cni/results",
        "/run/cni/tuning",
        "/run/netns",
    ] {
        let mut files = machine.list(directory)?;
        files.retain(|file| !HOST_LOCAL.iter().any(|kept| file.starts_with(kept)));
        lines.extend(
            files
                .iter()
                .map(|file| format!("file + {directory}/{file}")),
        );
    }
    Ok(lines)
}

/// A chain of the node, or a rule that has to do with one and is no container's. A container's rules are
/// in or lead to its own chain.
fn is_shared(line: &str) -> bool {
    line.contains(SHARED_CHAINS) && !line.contains("CNI-DN-")
}

/// Whether a line of [`find`] is the bridge plugin's masquerading, which Debian's leaves in place when the
/// namespace is gone. Its chains are called `CNI-` and 24 hexadecimal digits.
#[must_use]
pub fn is_masquerading_of_bridge(line: &str) -> bool {
    let hashes = line.split(' ').filter_map(|word| word.strip_prefix("CNI-"));
    let is_hash =
        |word: &str| word.len() == 24 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    hashes.into_iter().any(is_hash)
}
