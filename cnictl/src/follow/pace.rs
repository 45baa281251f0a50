//! When to look: soon after the last change, and never so often that looking costs what repairs save.

use std::time::{Duration, Instant};

/// How long it must have been quiet.
pub const QUIET: Duration = Duration::from_millis(100);
/// How long a first look waits while changes go on.
const PATIENCE: Duration = Duration::from_secs(1);
/// A look is followed by a rest so many times as long as itself: half a percent of a core. To read what
/// changes takes the other half.
const REST: u32 = 200;
/// The longest rest after a last change: with [`QUIET`] and a repair, ports are dead for less than a second.
const SHORT: Duration = Duration::from_millis(600);
/// The longest rest after a look that found something: one change is often followed by another.
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest rest while changes go on.
const LONG: Duration = Duration::from_secs(60);
/// How long notifications are left where they are, so that those of a burst are read at once: the first, and
/// those that come soon after others were read.
const SETTLE: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];
/// How soon.
const SOON: Duration = Duration::from_millis(500);

/// How long after something that took so long it may be done again.
pub fn rest(took: Duration) -> Duration {
    (took * REST).min(LONG)
}

/// How long what has come now is left where it is.
pub fn settle(was_read_at: Option<Instant>, now: Instant) -> Duration {
    let [first, next] = SETTLE;
    match was_read_at.is_some_and(|at| now < at + SOON) {
        true => next,
        false => first,
    }
}

/// What is known of changes and looks.
#[derive(Debug, Default)]
pub struct Pace {
    /// The first and the last change since the last look.
    changes: Option<(Instant, Instant)>,
    /// When the last look ended, and how long the rest after it is at most, if it becomes quiet and if not.
    looked: Option<(Instant, [Duration; 2])>,
}

impl Pace {
    /// Notes a change.
    pub fn changed(&mut self, now: Instant) {
        let first = self.changes.map_or(now, |(first, _)| first);
        self.changes = Some((first, now));
    }

    /// Notes a look, and whether all was in order.
    pub fn looked(&mut self, from: Instant, to: Instant, is_in_order: bool) {
        self.changes = None;
        let rest = rest(to.saturating_duration_since(from));
        let short = if is_in_order { SHORT } else { SHORTEST };
        self.looked = Some((to, [rest.min(short), rest]));
    }

    /// When the next look is due, if nothing else changes.
    pub fn due(&self) -> Option<Instant> {
        let (first, last) = self.changes?;
        let [short, long] = match self.looked {
            Some((end, rests)) => rests.map(|rest| Some(end + rest)),
            None => [None; 2],
        };
        let quiet = Some(last + QUIET).max(short);
        let patience = Some(first + PATIENCE).max(long);
        quiet.min(patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes and looks (from, to), and then when the next look is due; all in milliseconds.
    fn due(changes: &[u64], look: Option<(u64, u64)>) -> Option<u64> {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::default();
        if let Some((from, to)) = look {
            pace.looked(at(from), at(to), true);
        }
        changes.iter().for_each(|ms| pace.changed(at(*ms)));
        let due = pace.due()?.duration_since(start).as_millis();
        u64::try_from(due).ok()
    }

    #[test]
    fn a_look_comes_when_it_is_quiet_and_not_too_often() {
        let storm: Vec<u64> = (0..400).map(|n| n * 50).collect();
        for (changes, look, expected) in [
            // Nothing has changed.
            (&[][..], None, None),
            (&[], Some((0, 50)), None),
            // Quiet.
            (&[1000], None, Some(1100)),
            (&[1000, 1050], None, Some(1150)),
            // It does not become quiet.
            (&storm[..20], None, Some(1000)),
            // A look that took 2 ms, and one that took 50.
            (&[1000], Some((998, 1000)), Some(1400)),
            (&[1000], Some((950, 1000)), Some(1600)),
            (&[5000], Some((950, 1000)), Some(5100)),
            // The same while it does not become quiet: 200 times as long.
            (&storm[20..], Some((980, 1000)), Some(5000)),
            (&storm[20..], Some((950, 1000)), Some(11_000)),
        ] {
            assert_eq!(due(changes, look), expected, "{changes:?} {look:?}");
        }
    }

    #[test]
    fn the_first_notification_is_read_sooner_than_the_next_ones() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let settle = |was: Option<u64>, now| settle(was.map(at), at(now)).as_millis();
        assert_eq!([settle(None, 0), settle(Some(0), 500)], [50, 50]);
        assert_eq!([settle(Some(0), 0), settle(Some(0), 499)], [200, 200]);
    }

    #[test]
    fn a_look_that_repaired_is_followed_by_another_one_sooner() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::default();
        pace.looked(at(0), at(50), false);
        pace.changed(at(60));
        assert_eq!(pace.due(), Some(at(250)));
    }

    #[test]
    fn a_last_change_waits_for_less_than_a_second_whatever_was_before() {
        for took in [1, 10, 1000, 100_000] {
            for last in [0, 1, 599, 600, 5000] {
                let change = took + last;
                let due = due(&[change], Some((0, took))).unwrap();
                assert!(due - change < 700 + 1, "{took} {last}: {due}");
            }
        }
    }
}
