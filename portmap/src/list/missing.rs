//! What attachments claim and the kernel does not have.

use std::collections::HashMap;

use common::cache::means;
use common::{Attachment, Error, Request};

use super::at::At;
use super::row::Row;
use crate::config::Config;
use crate::host_port::Forward;
use crate::limits::Node;
use crate::plan::Plan;
use crate::{backends, entry};

/// The host ports that the plans of attachments have, and of which the kernel's state has none that any
/// rule leads to.
pub fn missing(requests: &[&Request], found: &[Row]) -> Vec<Result<Vec<Row>, Error>> {
    let mut held: HashMap<Forward, Vec<&Row>> = HashMap::new();
    for row in found.iter().filter(|row| row.is_reached) {
        held.entry(row.forward).or_default().push(row);
    }
    let is_missing = |row: &Row| {
        let mut held = held.get(&row.forward).into_iter().flatten();
        !held.any(|found| is_same(found, row))
    };
    let node = Node::default();
    let of = |request: &&Request| {
        let mut all = planned(request, &node)?;
        all.retain(is_missing);
        Ok(all)
    };
    requests.iter().map(of).collect()
}

/// Whether a host port of the kernel is one that a plan has.
pub fn is_same(found: &Row, planned: &Row) -> bool {
    found.forward == planned.forward
        && found.may_be_of(planned.entry.as_deref())
        && is_of(&found.owner, &planned.owner)
}

/// Whether the owner that a rule names is an attachment; the reference's nftables rules name a container
/// alone.
fn is_of(shown: &Attachment, attachment: &Attachment) -> bool {
    match shown.network.is_empty() {
        true => shown.container == attachment.container,
        false => means(shown, attachment),
    }
}

/// What ADD would make, as the table has it.
fn planned(request: &Request, node: &Node) -> Result<Vec<Row>, Error> {
    let (config, _) = Config::parse(request)?;
    let backend = backends::choose(&config)?.name();
    let plan = Plan::of(&config, node)?;
    let entry = entry::of(&plan.attachment).map(str::to_owned);
    let entry = &entry;
    let of = |family: &crate::plan::Forwards| {
        let is_conditional = !family.conditions.is_empty();
        let ports = family.ports.clone().into_iter();
        let limits = family.only.as_ref().map(|only| At::of(&only.prefixes));
        ports.map(move |forward| Row {
            forward,
            limits: limits.clone().filter(|_| forward.port.address.is_none()),
            owner: request.attachment.clone(),
            entry: entry.clone(),
            backend,
            counters: None,
            is_conditional,
            is_reached: false,
        })
    };
    Ok(plan.families.iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(network: &str, container: &str, ifname: &str) -> Attachment {
        Attachment {
            network: network.into(),
            container: container.into(),
            ifname: ifname.into(),
        }
    }

    #[test]
    fn owners_in_the_kernel_may_be_shortened_and_may_lack_a_network() {
        let own = attachment("podnet", "c0ffee", "eth0");
        for shown in [
            own.clone(),
            attachment("podnet", "c0f...", ""),
            attachment("", "c0ffee", ""),
        ] {
            assert!(is_of(&shown, &own), "{shown}");
        }
        for shown in [
            attachment("podnet", "c0ffee", "net1"),
            attachment("other", "c0ffee", "eth0"),
            attachment("", "", ""),
        ] {
            assert!(!is_of(&shown, &own), "{shown}");
        }
    }
}
