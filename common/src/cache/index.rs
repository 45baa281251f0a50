//! A cache's entries, found by what a node's state says of their owners.

use std::collections::HashMap;

use super::{Cache, Entry};
use crate::attachment::Attachment;

impl Cache {
    /// The entries by their containers, for many look-ups.
    pub fn index(&self) -> Index<'_> {
        let mut by_container: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in &self.entries {
            let container = entry.attachment.container.as_str();
            by_container.entry(container).or_default().push(entry);
        }
        Index {
            cache: self,
            by_container,
        }
    }
}

/// The entries of a cache by their containers: a full node has thousands of each.
#[derive(Debug)]
pub struct Index<'a> {
    /// The cache.
    pub cache: &'a Cache,
    by_container: HashMap<&'a str, Vec<&'a Entry>>,
}

impl<'a> Index<'a> {
    fn of_container(&self, container: &str) -> &[&'a Entry] {
        self.by_container.get(container).map_or(&[], Vec::as_slice)
    }

    /// The entries of the attachment that names of a node's state mean. Names may be shortened, to a
    /// beginning and `...` or `~` and a hash, and an empty interface means any. The reference's nftables
    /// rules name the container alone.
    pub fn find(&self, shown: &Attachment) -> Vec<&'a Entry> {
        if shown.network.is_empty() {
            return self.of_container(&shown.container).to_vec();
        }
        let is_meant = |entry: &&Entry| means(shown, &entry.attachment);
        match beginning(&shown.container) {
            None => {
                let entries = self.of_container(&shown.container).iter();
                entries.copied().filter(is_meant).collect()
            }
            Some(_) => self.cache.entries.iter().filter(is_meant).collect(),
        }
    }

    /// The one entry that [`Index::find`] gives; `None` when there are none or several.
    pub fn find_one(&self, shown: &Attachment) -> Option<&'a Entry> {
        match self.find(shown).as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// Whether names of a node's state, which may be shortened, can be those of an attachment; see
/// [`Index::find`].
pub fn means(shown: &Attachment, whole: &Attachment) -> bool {
    is_short_for(&shown.network, &whole.network)
        && is_short_for(&shown.container, &whole.container)
        && (shown.ifname.is_empty()
            || shown.ifname.starts_with('~')
            || shown.ifname == whole.ifname)
}

fn is_short_for(shown: &str, name: &str) -> bool {
    shown == name || beginning(shown).is_some_and(|kept| name.starts_with(kept))
}

/// What is kept of a shortened name; `None` of a whole one.
fn beginning(shown: &str) -> Option<&str> {
    let kept = shown.strip_suffix("...");
    kept.or_else(|| shown.split_once('~').map(|(kept, _)| kept))
}
