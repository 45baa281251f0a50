//! What distinguishes a namespace's tables from other ones.

use std::hash::{DefaultHasher, Hash, Hasher};

use common::Family;
use common::error::Error;
use common::sys::xtables::{self, XTable};

use super::entry::{COUNTERS, Entry, Layout};
use super::{ask, invalid};
use crate::Table;

/// Of all tables of a namespace.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// What costs little to read, but tables that have been exchanged for others may have, too.
    sizes: Vec<Vec<u8>>,
    /// A number for the entries of each table, without what they have counted.
    entries: Vec<u64>,
}

impl Stamp {
    /// Of the tables as they are.
    ///
    /// # Errors
    /// As [`super::Reader::of`].
    pub fn now() -> Result<Stamp, Error> {
        // Sizes that are older than the entries are found to be other ones, rather than the other way round.
        let sizes = sizes()?;
        let mut entries = Vec::new();
        for (family, table) in all() {
            if let Some(found) = ask(family, table, xtables::read)? {
                let entry = of(Layout::of(family), &found);
                entries.push(entry.ok_or_else(|| invalid(family, table))?);
            }
        }
        Ok(Stamp { sizes, entries })
    }

    /// Whether tables have other sizes now.
    ///
    /// # Errors
    /// As [`super::Reader::of`].
    pub fn is_resized(&self) -> Result<bool, Error> {
        Ok(sizes()? != self.sizes)
    }

    /// Whether there was no table.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }
}

fn sizes() -> Result<Vec<Vec<u8>>, Error> {
    let sizes = all().map(|(family, table)| ask(family, table, xtables::info).transpose());
    sizes.flatten().collect()
}

fn all() -> impl Iterator<Item = (Family, Table)> {
    let tables = |family| Table::ALL.into_iter().map(move |table| (family, table));
    Family::ALL.into_iter().flat_map(tables)
}

fn of(layout: &'static Layout, table: &XTable) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    (table.hooks, table.policies).hash(&mut hasher);
    let mut at = 0;
    while at < table.entries.len() {
        let bytes = Entry::at(layout, &table.entries, at)?.bytes;
        hasher.write(bytes.get(..layout.length - COUNTERS)?);
        hasher.write(bytes.get(layout.length..)?);
        at += bytes.len();
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::super::entry::V4;
    use super::super::tests::{table, verdict};
    use super::*;

    #[test]
    fn a_stamp_changes_with_every_byte_except_those_of_counters() {
        let rules = [verdict(-1), verdict(-2)];
        let stamp = |table: &XTable| of(&V4, table).unwrap();
        let before = stamp(&table(&rules));
        let counters = V4.length - COUNTERS..V4.length;
        let mut missed = Vec::new();
        for at in (0..rules[1].len()).filter(|at| ![V4.target, V4.next].contains(&(at & !1))) {
            let mut changed = rules.clone();
            changed[1][at] ^= 1;
            if stamp(&table(&changed)) == before {
                missed.push(at);
            }
        }
        assert_eq!(missed, counters.collect::<Vec<_>>());
        let mut moved = table(&rules);
        moved.hooks[1] = Some(rules[0].len());
        assert_ne!(stamp(&moved), before);
        assert_ne!(stamp(&table(&[verdict(-2), verdict(-1)])), before);
        moved.entries.truncate(10);
        assert_eq!(of(&V4, &moved), None);
    }
}
