//! The runtime's caches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::Error;
use common::cache::{Cache, DEFAULT_DIR, Entry};

use super::{Node, found};
use crate::finding::{Finding, counted, some};
use crate::requests::{kind, parts};

/// Where runtimes keep theirs: libcni's own place, and that of cri-dockerd and of kubelets before 1.24.
const KNOWN: [&str; 2] = [DEFAULT_DIR, "/var/lib/cni/cache"];

pub(super) fn findings(node: &Node<'_>, error: Option<&Error>) -> Vec<Finding> {
    let dir = &node.places.cache;
    let object = format!("cache {}", dir.display());
    let mut findings = Vec::new();
    if let Some(error) = error {
        findings.push(Finding::unread(&object, error));
    } else if node.cache.exists {
        let text = format!(
            "{} of {}",
            counted(node.cache.entries.len(), "attachment"),
            counted(node.cache.networks().len(), "network")
        );
        findings.push(Finding::ok(&object, text));
    } else {
        let text = "does not exist: the owners of host ports and limits are unknown, and nothing \
                    can be restored";
        findings.push(Finding::warning(&object, text).run("cnictl doctor --cache-dir DIR"));
    }
    if !node.cache.faults.is_empty() {
        let faults: Vec<String> = node.cache.faults.iter().map(Error::to_string).collect();
        let text = format!(
            "{} of its files cannot be read: {}",
            faults.len(),
            some(&faults)
        );
        findings.push(Finding::error(&object, text));
    }
    let others = KNOWN
        .map(Path::new)
        .into_iter()
        .filter(|other| other != dir);
    for other in others {
        let object = format!("cache {}", other.display());
        let read = found(&object, Cache::read(other), &mut findings).unwrap_or_default();
        if read.exists {
            let text = format!(
                "exists, too, with {}",
                counted(read.entries.len(), "attachment")
            );
            let run = format!("cnictl doctor --cache-dir {}", other.display());
            findings.push(Finding::ok(object, text).run(run));
        }
    }
    findings
}

/// The types of the plugins that attachments have.
pub fn types(cache: &Cache) -> BTreeSet<String> {
    // Hundreds of attachments have the same.
    let alike: BTreeMap<&[u8], &Entry> = cache
        .entries
        .iter()
        .map(|e| (e.config.as_slice(), e))
        .collect();
    let parts = alike.into_values().flat_map(parts);
    parts.filter_map(|part| kind(&part)).collect()
}
