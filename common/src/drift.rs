//! One difference between what was planned and what the kernel has.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::error::{Code, Error, short};

/// An object that is not as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What differs, such as `mtu of eth0`.
    pub object: String,
    /// What the plan says.
    pub expected: String,
    /// What the kernel says.
    pub actual: String,
    /// What the kernel does not have at all, in a word, such as `chain`.
    pub missing: Option<&'static str>,
    /// What another attachment has, in the words of `Claim::what`, where that is all that differs.
    pub taken: Option<String>,
}

impl Drift {
    /// A difference, printed from any three values; long ones are cut.
    pub fn new(object: impl Display, expected: impl Display, actual: impl Display) -> Drift {
        Drift {
            object: short(&object.to_string()).into_owned(),
            expected: short(&expected.to_string()).into_owned(),
            actual: short(&actual.to_string()).into_owned(),
            missing: None,
            taken: None,
        }
    }

    /// The same difference, of something that another attachment has, as `Claim::what` calls it; `None` where
    /// that is not known.
    #[must_use]
    pub fn of_taken(self, what: Option<String>) -> Drift {
        Drift {
            taken: what,
            ..self
        }
    }

    /// The same difference, of an object that is not there: what it is, in a word.
    #[must_use]
    pub fn of_missing(self, what: &'static str) -> Drift {
        Drift {
            missing: Some(what),
            ..self
        }
    }
}

impl Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drift {
            object,
            expected,
            actual,
            missing: _,
            taken: _,
        } = self;
        write!(f, "{object}: expected {expected}, found {actual}")
    }
}

/// The drifts in one line: `chain and 6 rules missing`, then what differs, as far as it is short.
pub fn in_a_line(drifts: &[Drift]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for what in drifts.iter().filter_map(|drift| drift.missing) {
        *counts.entry(what).or_default() += 1;
    }
    let counted = counts.iter().map(|(what, count)| match count {
        1 => (*what).to_owned(),
        count => format!("{count} {what}s"),
    });
    let missing = joined(&counted.collect::<Vec<String>>());
    let differing: Vec<&Drift> = drifts.iter().filter(|d| d.missing.is_none()).collect();
    let differing = match differing.as_slice() {
        [] => None,
        [one] => Some(one.to_string()),
        [first, rest @ ..] => Some(format!("{first}; {} more", rest.len())),
    };
    let missing = missing.map(|missing| format!("{missing} missing"));
    let parts: Vec<String> = [missing, differing].into_iter().flatten().collect();
    parts.join("; ")
}

/// `a, b and c`.
fn joined(parts: &[String]) -> Option<String> {
    match parts {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
    }
}

/// CHECK's answer: success without drifts, else one error (code 101) that lists them all.
///
/// # Errors
/// When there are drifts.
pub fn verdict(attachment: impl Display, drifts: &[Drift]) -> Result<(), Error> {
    if drifts.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = drifts.iter().map(Drift::to_string).collect();
    Err(
        Error::new(Code::Drift, format!("{attachment} has changed since ADD"))
            .with_details(list.join("; ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_what_is_missing_and_says_what_differs() {
        let missing = |what| Drift::new("x", "present", "missing").of_missing(what);
        let mtu = || Drift::new("mtu of eth0", 1400, 1500);
        for (drifts, line) in [
            (vec![], ""),
            (vec![missing("chain")], "chain missing"),
            (
                vec![missing("rule"), missing("chain"), missing("rule")],
                "chain and 2 rules missing",
            ),
            (
                vec![missing("table"), missing("set"), missing("chain"), mtu()],
                "chain, set and table missing; mtu of eth0: expected 1400, found 1500",
            ),
            (
                vec![mtu(), mtu(), mtu()],
                "mtu of eth0: expected 1400, found 1500; 2 more",
            ),
        ] {
            assert_eq!(in_a_line(&drifts), line);
        }
    }
}
