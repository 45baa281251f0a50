//! How owners are shown: by the names that people gave them, as far as the cache knows these.

use std::collections::HashMap;

use common::Attachment;
use common::cache::{Cache, Index};

use crate::cli::table::Chosen;
use crate::table::{Cell, Column, column};

/// How many characters of a container's ID a table shows, as in those of runtimes.
const ID: usize = 12;

/// The owners that the cache knows.
#[derive(Debug)]
pub struct Owners<'a> {
    /// The cache's entries.
    pub index: Index<'a>,
    /// The pod of each, where the runtime named one.
    pods: HashMap<&'a Attachment, Option<String>>,
}

impl<'a> Owners<'a> {
    /// Those of a cache.
    pub fn of(cache: &'a Cache) -> Owners<'a> {
        let entries = cache.entries.iter();
        let pods = entries.map(|entry| (&entry.attachment, entry.pod()));
        Owners {
            index: cache.index(),
            pods: pods.collect(),
        }
    }

    /// The pod, as `NAMESPACE/NAME`.
    pub fn pod(&self, owner: &Attachment) -> Option<&str> {
        self.pods.get(owner)?.as_deref()
    }

    /// An owner in short: its pod, or network, container and interface.
    pub fn name(&self, owner: &Attachment) -> String {
        self.pod(owner).map_or_else(|| name(owner), str::to_owned)
    }

    /// Whether an owner is among those that a command line chooses.
    pub fn is_chosen(&self, owner: &Attachment, chosen: &Chosen) -> bool {
        let Chosen { pod, network, .. } = chosen;
        pod.as_ref().is_none_or(|wanted| self.is_pod(owner, wanted))
            && network
                .as_ref()
                .is_none_or(|wanted| owner.network == *wanted)
    }

    /// Whether an owner is a pod, by `NAMESPACE/NAME` or its name alone.
    pub fn is_pod(&self, owner: &Attachment, wanted: &str) -> bool {
        let pod = self.pod(owner);
        let own = pod.and_then(|pod| pod.split_once('/'));
        pod == Some(wanted) || own.is_some_and(|(_, name)| name == wanted)
    }

    /// How the owners of a table's rows are shown in it.
    pub fn shown<'o>(&'o self, mut rows: impl Iterator<Item = &'o Attachment>) -> Shown<'o> {
        Shown {
            has_pods: rows.any(|owner| self.pod(owner).is_some()),
            owners: self,
        }
    }

    /// An owner's names in a document.
    pub fn names<'n>(&'n self, owner: &'n Attachment) -> Names<'n> {
        let pod = self.pod(owner);
        Names {
            pod,
            ..names(owner)
        }
    }
}

/// How owners are shown in a table: with pods where any row has one.
#[derive(Debug)]
pub struct Shown<'a> {
    owners: &'a Owners<'a>,
    has_pods: bool,
}

impl Shown<'_> {
    /// The columns of [`Shown::cells`]: the first one of those with pods, or else the container's, stays
    /// at any width.
    pub fn columns(&self) -> Vec<Column> {
        let (network, ifname) = (column("NETWORK").cut_to(7), column("IF").cut_to(4));
        let container = column("CONTAINER").cut_to(9);
        match self.has_pods {
            true => vec![
                column("POD").cut_to(19),
                network.spare(),
                container.spare(),
                ifname.spare(),
            ],
            false => vec![network.optional(), container, ifname.optional()],
        }
    }

    /// Pod, network, container and interface as cells of a row. What is not known is `?`; an owner
    /// without a pod has its container in the place of that.
    pub fn cells(&self, owner: &Attachment) -> Vec<Cell> {
        let [network, container, ifname] = cells(owner);
        let pod = self.owners.pod(owner).unwrap_or(&container);
        let pod = self.has_pods.then(|| pod.to_owned());
        let cells = pod.into_iter().chain([network, container, ifname]);
        cells.map(Cell::from).collect()
    }
}

/// Network, container and interface in one word.
pub fn name(owner: &Attachment) -> String {
    let parts = [&owner.network, &owner.container, &owner.ifname];
    parts.map(|part| known(part)).join("/")
}

/// An attachment's names in a document, whole. What is not known is `null`.
#[derive(Debug)]
pub struct Names<'a> {
    /// The pod.
    pub pod: Option<&'a str>,
    /// The network.
    pub network: Option<&'a str>,
    /// The container.
    pub container: Option<&'a str>,
    /// The interface.
    pub interface: Option<&'a str>,
}

/// The names that an attachment itself has.
pub fn names(attachment: &Attachment) -> Names<'_> {
    let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
    Names {
        pod: None,
        network: known(&attachment.network),
        container: known(&attachment.container),
        interface: known(&attachment.ifname),
    }
}

/// The names of an attachment as cells of a row; the container's is cut. What is not known is `?`.
pub fn cells(attachment: &Attachment) -> [String; 3] {
    let container: String = attachment.container.chars().take(ID).collect();
    [
        known(&attachment.network),
        known(&container),
        known(&attachment.ifname),
    ]
}

fn known(name: &str) -> String {
    if name.is_empty() { "?" } else { name }.to_owned()
}
