//! Medians and ratios, one line a verb.

use std::fmt;
use std::time::Duration;

use crate::run::Sample;

/// The head of the columns.
pub const HEADER: &str =
    "plugin    verb    |  wall: ours    ref  ratio |   cpu: ours    ref  ratio | circumstance";

/// The samples of one verb.
pub struct Row {
    /// The plugin.
    pub plugin: &'static str,
    /// The scenario's circumstance.
    pub circumstance: String,
    /// The verb.
    pub verb: &'static str,
    /// Ours.
    pub ours: Vec<Sample>,
    /// The reference's; none for a verb that it cannot serve.
    pub reference: Vec<Sample>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10}{:<8}|", self.plugin, self.verb)?;
        for pick in [|s: &Sample| s.wall, |s: &Sample| s.cpu] {
            let [ours, reference] =
                [&self.ours, &self.reference].map(|side| median(side.iter().map(pick)));
            match reference.is_nan() {
                true => write!(f, " {ours:>11.2} {:>6} {:>6} |", "-", "-")?,
                false => {
                    let ratio = reference / ours;
                    write!(f, " {ours:>11.2} {reference:>6.2} {ratio:>6.1} |")?;
                }
            }
        }
        write!(f, " {}", self.circumstance)
    }
}

/// The middle one, in milliseconds.
fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let ms = |list: &[u64]| median(list.iter().map(|ms| Duration::from_millis(*ms)));
        assert_eq!(ms(&[9, 1, 2]), 2.0);
        assert_eq!(ms(&[5]), 5.0);
        assert!(ms(&[]).is_nan());
    }
}
