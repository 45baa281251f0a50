//! When what failed is tried again: soon at first, as others may have removed again what was repaired
//! before it was looked at; then ever more rarely.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::plugins::Plugin;

/// How long after a failure the next try comes, at first and at most. It is doubled each time.
const WAIT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];

/// What a look found of a plugin's failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// There are none.
    None,
    /// Those of the last look, or fewer.
    Known,
    /// Others than at the last look.
    New,
}

/// The plugins with failures, each with its next try.
#[derive(Debug, Default)]
pub struct Again(BTreeMap<Plugin, Try>);

#[derive(Debug)]
struct Try {
    /// When it comes; `None` where it was handed out, until the look.
    at: Option<Instant>,
    /// How long after the last one that is.
    after: Duration,
}

impl Again {
    /// When the next try comes.
    pub fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(|one| one.at).min()
    }

    /// The plugins whose try has come, each handed out once.
    pub fn take(&mut self, now: Instant) -> Vec<Plugin> {
        let due = self.0.iter_mut().filter(|(_, one)| one.is_due(now));
        due.map(|(plugin, one)| {
            one.at = None;
            *plugin
        })
        .collect()
    }

    /// Whether a look now tries again what failed.
    pub fn is_try(&self, plugin: Plugin, now: Instant) -> bool {
        let planned = self.0.get(&plugin);
        planned.is_none_or(|one| one.at.is_none() || one.is_due(now))
    }

    /// Notes a look at a plugin, from and to, and plans the next try.
    pub fn looked(&mut self, plugin: Plugin, (from, to): (Instant, Instant), found: Failures) {
        let [first, longest] = WAIT;
        let last = self.0.get(&plugin).map(|one| one.after);
        let after = match (found, last) {
            (Failures::None, _) => {
                self.0.remove(&plugin);
                return;
            }
            (Failures::Known, Some(_)) if !self.is_try(plugin, from) => return,
            (Failures::Known, Some(last)) => longest.min(last * 2),
            (Failures::Known, None) | (Failures::New, _) => first,
        };
        let at = Some(to + after);
        self.0.insert(plugin, Try { at, after });
    }
}

impl Try {
    fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Plugin::{Bandwidth, Portmap};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_try_is_handed_out_once_and_each_comes_later_than_the_one_before() {
        let mut again = Again::default();
        let mut now = Instant::now();
        again.looked(Portmap, (now, now), Failures::New);
        for wait in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200] {
            assert_eq!(again.due(), Some(now + wait * MS));
            assert_eq!(again.take(now + (wait - 1) * MS), []);
            now += wait * MS;
            assert_eq!(again.take(now), [Portmap]);
            assert_eq!((again.take(now), again.due()), (vec![], None));
            again.looked(Portmap, (now, now), Failures::Known);
        }
        for _ in 0..2 {
            assert_eq!(again.due(), Some(now + 60_000 * MS));
            now += 60_000 * MS;
            assert_eq!(again.take(now), [Portmap]);
            again.looked(Portmap, (now, now), Failures::Known);
        }
        again.looked(Portmap, (now, now), Failures::None);
        assert_eq!(again.due(), None);
    }

    #[test]
    fn a_look_before_a_try_puts_it_off_only_for_its_plugin_and_not_at_all_where_it_finds_others() {
        let mut again = Again::default();
        let start = Instant::now();
        again.looked(Portmap, (start, start), Failures::New);
        let soon = start + 50 * MS;
        assert!(!again.is_try(Portmap, soon) && again.is_try(Bandwidth, soon));
        again.looked(Portmap, (soon, soon), Failures::Known);
        assert_eq!(again.due(), Some(start + 100 * MS));
        let then = start + 100 * MS;
        assert!(again.is_try(Portmap, then));
        assert_eq!(again.take(then), [Portmap]);
        assert!(again.is_try(Portmap, then));
        again.looked(Portmap, (then, then), Failures::Known);
        assert_eq!(again.due(), Some(then + 200 * MS));
        again.looked(Portmap, (then, then), Failures::New);
        assert_eq!(again.due(), Some(then + 100 * MS));
    }
}
