//! The known differences of the reference, as data: testdata/conformance/known.tsv.
//!
//! Four columns separated by tabs, the first line names them: groups (joined by ` and `), case, editions
//! (joined by `, `), reason. An edition with a question mark (`2026-04?`) fails only sometimes: both
//! outcomes are fine.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// Where the rows are, for messages.
pub const FILE: &str = "testdata/conformance/known.tsv";

/// The rows.
pub const ROWS: &str = include_str!("../../../testdata/conformance/known.tsv");

/// A known difference.
pub struct Difference {
    /// Why.
    pub why: String,
    /// Whether the case may pass all the same.
    pub by_chance: bool,
}

/// Differences by group and case.
pub struct Known(BTreeMap<(String, String), Difference>);

impl Known {
    /// Reads the rows that are about `edition` (`reference 1.1.1`).
    pub fn parse(text: &str, edition: &str) -> Result<Self, Failure> {
        let edition = edition.strip_prefix("reference ").unwrap_or("");
        let chance = format!("{edition}?");
        let mut known = BTreeMap::new();
        for line in text.lines().skip(1) {
            let [groups, case, editions, why] = columns(line)?;
            let Some(one) = editions
                .split(", ")
                .find(|one| [edition, &chance].contains(one))
            else {
                continue;
            };
            for group in groups.split(" and ") {
                let (why, by_chance) = (why.to_owned(), one == chance);
                let difference = Difference { why, by_chance };
                known.insert((group.to_owned(), case.to_owned()), difference);
            }
        }
        Ok(Self(known))
    }

    /// What is known of a case.
    pub fn difference(&self, group: &str, case: &str) -> Option<&Difference> {
        self.0.get(&(group.to_owned(), case.to_owned()))
    }

    /// Every group and case in it.
    pub fn cases(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.keys()
    }
}

fn columns(line: &str) -> Result<[&str; 4], Failure> {
    let columns: Vec<&str> = line.split('\t').collect();
    <[&str; 4]>::try_from(columns).map_err(|_| Failure(format!("{FILE}: not four columns: {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "groups\tcase\tin\twhy\n";

    #[test]
    fn rows_are_found_by_group_case_and_edition() {
        let text = format!(
            "{HEAD}tuning and bandwidth\ta\t1.1.1, 2026-04\tboth\ntuning and bandwidth\tb\t2026-04?\tnew\n"
        );
        let read = |edition| Known::parse(&text, edition).unwrap();
        let why = |known: &Known, group, case| {
            known.difference(group, case).map(|known| known.why.clone())
        };
        let old = read("reference 1.1.1");
        assert_eq!(why(&old, "tuning", "a").as_deref(), Some("both"));
        assert_eq!(why(&old, "bandwidth", "a").as_deref(), Some("both"));
        assert_eq!(why(&old, "tuning", "b"), None);
        assert_eq!(why(&old, "portmap", "a"), None);
        let new = read("reference 2026-04");
        let by_chance = |case| new.difference("tuning", case).map(|known| known.by_chance);
        assert_eq!(by_chance("b"), Some(true));
        assert_eq!(by_chance("a"), Some(false));
        assert_eq!(read("ours").cases().count(), 0);
    }

    #[test]
    fn a_line_of_other_than_four_columns_is_an_error() {
        assert!(Known::parse(&format!("{HEAD}tuning\ta\t1.1.1\n"), "reference 1.1.1").is_err());
    }

    #[test]
    fn the_rows_are_sound() {
        let known = Known::parse(ROWS, "reference 1.1.1");
        assert!(known.is_ok_and(|known| known.cases().count() > 500));
    }
}
