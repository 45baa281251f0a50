//! Attachments that are not yet in the cache when something changes, as their ADD is under way: what the
//! change has removed of them is looked at when the runtime is done.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Instant;

use common::Error;

use crate::plugins::Plugin;

/// The names of the cache's files.
pub type Names = BTreeSet<OsString>;

/// The plugins that are to be looked at once more if the cache then has other attachments.
#[derive(Debug, Default)]
pub struct Late(Vec<One>);

#[derive(Debug)]
struct One {
    plugin: Plugin,
    at: Instant,
    known: Names,
}

impl Late {
    /// Plans a look in place of the one that is planned, after one that saw these attachments.
    pub fn plan(&mut self, plugin: Plugin, at: Instant, known: Names) {
        self.0.retain(|one| one.plugin != plugin);
        self.0.push(One { plugin, at, known });
    }

    /// When the next one comes.
    pub fn due(&self) -> Option<Instant> {
        self.0.iter().map(|one| one.at).min()
    }

    /// The plugins whose look has come, each handed out once; all of them where the names cannot be read.
    pub fn take(
        &mut self,
        now: Instant,
        names: impl FnOnce() -> Result<Names, Error>,
    ) -> Vec<Plugin> {
        let due: Vec<One> = self.0.extract_if(.., |one| one.at <= now).collect();
        if due.is_empty() {
            return Vec::new();
        }
        let names = names();
        let has_more = |one: &One| {
            names
                .as_ref()
                .map_or(true, |now| !now.is_subset(&one.known))
        };
        let with_more = due.into_iter().filter(has_more);
        with_more.map(|one| one.plugin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Code;
    use std::time::Duration;

    fn names(of: &[&str]) -> Names {
        of.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_late_look_comes_once_and_only_where_there_is_more() {
        let start = Instant::now();
        let end = start + Duration::from_secs(10);
        let unreadable = || Err(Error::new(Code::Io, "x"));
        for (found, expected) in [
            (Ok(names(&["a", "b"])), vec![]),
            (Ok(names(&["b"])), vec![]),
            (Ok(names(&["a", "c"])), vec![Plugin::Portmap]),
            (unreadable(), vec![Plugin::Portmap]),
        ] {
            let mut late = Late::default();
            late.plan(Plugin::Portmap, start, names(&[]));
            late.plan(Plugin::Portmap, end, names(&["a", "b"]));
            assert_eq!(late.due(), Some(end));
            assert_eq!(late.take(start, unreadable), []);
            assert_eq!(late.take(end, || found), expected);
            assert_eq!((late.take(end, unreadable), late.due()), (vec![], None));
        }
    }
}
