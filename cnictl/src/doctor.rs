//! What is wrong with a node.
//!
//! | module | what it looks at |
//! | --- | --- |
//! | [`kernel`] | parts of the kernel that the plugins use |
//! | [`programs`] | the variants of iptables, and the plugins' versions |
//! | [`networks`] | configurations, plugins, backends, the allowlist |
//! | [`cache`] | the runtime's caches |
//! | [`attachments`] | attachments that are not as ADD left them, and leftovers |
//! | [`ports`] | host ports that others have, too |
//! | [`packets`] | rules of others that keep packets away |
//! | [`sysctls`] | forwarding, reverse path filters, the guard of loopback addresses, conntrack |

mod attachments;
mod cache;
mod kernel;
mod networks;
pub(crate) mod packets;
pub(crate) mod ports;
mod programs;
pub(crate) mod sysctls;

use std::collections::BTreeSet;
use std::path::PathBuf;

use common::Error;
use common::Family;
use common::cache::Cache;
use portmap::Portmap;

use crate::finding::Finding;
use crate::firewall::Firewalls;
use crate::mappings::{Mapping, mappings_by};
use crate::owners::Owners;
use crate::repair::{Task, tasks};
use networks::Networks;

/// Where things are on the node.
#[derive(Debug)]
pub struct Places {
    /// libcni's cache.
    pub cache: PathBuf,
    /// The configurations of networks.
    pub configurations: PathBuf,
    /// The plugins.
    pub plugins: Vec<PathBuf>,
}

/// What is known of a node.
struct Node<'a> {
    places: &'a Places,
    cache: &'a Cache,
    owners: &'a Owners<'a>,
    /// What portmap has to do with its attachments.
    tasks: &'a [Task<'a>],
    are_mappings_known: bool,
    mappings: Vec<Mapping>,
    firewalls: Firewalls,
    /// The types of plugins that networks and attachments have.
    used: BTreeSet<String>,
}

/// Everything, in the order in which it is to be read.
pub fn examine(places: &Places) -> Vec<Finding> {
    let mut findings = Vec::new();
    let read = Cache::read(&places.cache);
    let cache = read.as_ref().cloned().unwrap_or_default();
    let owners = Owners::of(&cache);
    let mut firewalls = Firewalls::default();
    for family in Family::ALL {
        let errors = firewalls.of(family).errors.iter();
        let object = format!("firewall ({family})");
        findings.extend(errors.map(|error| Finding::unread(&object, error)));
    }
    let tasks = tasks::<Portmap>(&cache, true);
    let mappings = mappings_by(&owners, &tasks, &mut firewalls).map(|(mappings, errors)| {
        findings.extend(
            errors
                .iter()
                .map(|error| Finding::unread("host ports", error)),
        );
        mappings
    });
    let mappings = found("host ports", mappings, &mut findings);
    let networks = Networks::read(places, &mut findings);
    let node = Node {
        places,
        cache: &cache,
        owners: &owners,
        tasks: &tasks,
        are_mappings_known: mappings.is_some(),
        mappings: mappings.unwrap_or_default(),
        firewalls,
        used: &networks.types | &cache::types(&cache),
    };
    let mut all = programs::findings(&node);
    all.extend(kernel::findings(&node));
    all.extend(networks.findings(&node));
    all.extend(cache::findings(&node, read.as_ref().err()));
    all.extend(findings);
    all.extend(attachments::findings(&node));
    all.extend(ports::findings(&node));
    all.extend(packets::findings(&node));
    all.extend(sysctls::findings(&node));
    all
}

/// What was looked for; a failure is a finding.
fn found<T>(object: &str, look: Result<T, Error>, findings: &mut Vec<Finding>) -> Option<T> {
    match look {
        Ok(found) => Some(found),
        Err(error) => {
            findings.push(Finding::unread(object, &error));
            None
        }
    }
}
