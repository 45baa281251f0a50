//! `--watch`: a table again and again, with what its counters gained since it was last shown.

use std::collections::HashMap;
use std::hash::Hash;
use std::thread;
use std::time::{Duration, Instant};

use common::Error;

use super::{DONE, is_read, print, whole};
use crate::table::Page;

/// Prints what `look` shows: once, or every so many seconds until something fails or nobody reads it any longer.
/// What could not be read comes beside it.
///
/// # Errors
/// Those of `look`, and output that is lost.
pub fn watch(
    seconds: Option<u64>,
    mut look: impl FnMut() -> Result<(String, Vec<Error>), Error>,
) -> Result<u8, Error> {
    loop {
        let (shown, lacking) = look()?;
        let Some(seconds) = seconds else {
            print(&shown)?;
            return Ok(whole(lacking));
        };
        // On a terminal each table takes the place of the last one.
        let clear = if Page::stdout().colour {
            "\x1b[H\x1b[2J"
        } else {
            ""
        };
        if !is_read(&format!("{clear}{shown}"))? {
            return Ok(DONE);
        }
        // The exit code is that of the look that fails.
        let _ = whole(lacking);
        thread::sleep(Duration::from_secs(seconds));
    }
}

/// Counters as they were last shown.
#[derive(Debug)]
pub struct Last<K>(HashMap<K, (u64, Instant)>);

impl<K> Default for Last<K> {
    fn default() -> Self {
        Last(HashMap::new())
    }
}

impl<K: Eq + Hash> Last<K> {
    /// What each counter gained per second since it was last shown, where it was; these take the place of
    /// what was shown last. Each is its key, its count, and where the answer goes.
    pub fn compare<'a>(
        &mut self,
        now: Instant,
        counters: impl Iterator<Item = (K, u64, &'a mut Option<u64>)>,
    ) {
        let mut next = HashMap::new();
        for (key, count, gained) in counters {
            if let Some((before, then)) = self.0.get(&key) {
                *gained = rate(*before, count, now.duration_since(*then));
            }
            next.insert(key, (count, now));
        }
        self.0 = next;
    }
}

/// What a counter gained per second; `None` for one that started again.
fn rate(before: u64, after: u64, took: Duration) -> Option<u64> {
    let gained = u128::from(after.checked_sub(before)?);
    u64::try_from(gained * 1000 / took.as_millis().max(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_came_since_and_none_for_a_counter_that_is_new_or_started_again() {
        let (then, second) = (Instant::now(), Duration::from_secs(1));
        let mut last = Last::default();
        let mut seen = |after: Duration, counters: &[(&'static str, u64)]| {
            let mut gained = vec![None; counters.len()];
            let all = counters.iter().zip(&mut gained);
            let all = all.map(|((key, count), gained)| (*key, *count, gained));
            last.compare(then + after, all);
            gained
        };
        assert_eq!(seen(Duration::ZERO, &[("a", 1000)]), [None]);
        assert_eq!(seen(second, &[("b", 5), ("a", 3000)]), [None, Some(2000)]);
        assert_eq!(
            seen(3 * second, &[("a", 4000), ("b", 4)]),
            [Some(500), None]
        );
        assert_eq!(seen(3 * second, &[("a", 4000)]), [Some(0)]);
        assert_eq!(seen(4 * second, &[("b", 9)]), [None]);
    }
}
