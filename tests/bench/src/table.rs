//! Medians, spread and ratios.

use std::fmt;
use std::time::Duration;

use crate::run::Sample;

/// The head of the columns.
pub const HEADER: &str = "plugin    verb    |  wall: ours    ref  ratio |   cpu: ours    ref  ratio | rounds | circumstance";

/// The samples of one verb.
pub struct Row {
    /// The plugin.
    pub plugin: &'static str,
    /// The backend, where the plugin has several.
    pub backend: &'static str,
    /// Other pods on the node.
    pub others: u32,
    /// The scenario's circumstance.
    pub circumstance: String,
    /// The verb.
    pub verb: &'static str,
    /// Ours.
    pub ours: Vec<Sample>,
    /// The reference's; none for a verb that it cannot serve.
    pub reference: Vec<Sample>,
}

/// The middle, the tenth and the ninetieth hundredth of some times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// Nine in ten are longer.
    pub low: f64,
    /// Nine in ten are shorter.
    pub high: f64,
}

impl Spread {
    /// Of elapsed times; none without samples.
    pub fn of(samples: &[Sample]) -> Option<Self> {
        Self::of_times(samples.iter().map(|sample| sample.wall))
    }

    /// The same of any times; none without one.
    pub fn of_times(times: impl Iterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<Duration> = times.collect();
        times.sort();
        let at = |tenths: usize| {
            let time = times.get((times.len() * tenths / 10).min(times.len().saturating_sub(1)));
            time.map(|time| time.as_secs_f64() * 1e3)
        };
        Some(Self {
            median: at(5)?,
            low: at(1)?,
            high: at(9)?,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10}{:<8}|", self.plugin, self.verb)?;
        for pick in [|s: &Sample| s.wall, |s: &Sample| s.cpu] {
            let median = |side: &[Sample]| Spread::of_times(side.iter().map(pick));
            let ours = median(&self.ours).map_or(f64::NAN, |spread| spread.median);
            match median(&self.reference).map(|spread| spread.median) {
                None => write!(f, " {ours:>11.2} {:>6} {:>6} |", "-", "-")?,
                Some(reference) => {
                    let ratio = reference / ours;
                    write!(f, " {ours:>11.2} {reference:>6.2} {ratio:>6.1} |")?;
                }
            }
        }
        let Self {
            backend,
            others,
            circumstance,
            ..
        } = self;
        let rounds = self.ours.len();
        write!(
            f,
            " {rounds:>6} | {backend} {circumstance}, {others} other pods"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_of_the_times_in_their_order() {
        let of = |list: &[u64]| Spread::of_times(list.iter().map(|ms| Duration::from_millis(*ms)));
        let spread = |median, low, high| Some(Spread { median, low, high });
        assert_eq!(of(&[9, 1, 2]), spread(2.0, 1.0, 9.0));
        assert_eq!(of(&[5]), spread(5.0, 5.0, 5.0));
        assert_eq!(of(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), spread(6.0, 2.0, 10.0));
        assert_eq!(of(&[]), None);
    }
}
