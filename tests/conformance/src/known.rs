//! The known differences of the reference, as data: tables in docs/compatibility.md.
//!
//! ```text
//! <!-- conformance: known differences -->
//! ### tuning
//!
//! | case | in | why |
//! | --- | --- | --- |
//! | DEL removes the backup when the namespace is gone | 1.1.1, 2026-04 | … |
//! ```
//!
//! A heading names the groups, joined by ` and `, a row the case by its name. An edition with a question
//! mark (`2026-04?`) fails by chance: both is fine. The tables end with the file.

use std::collections::BTreeMap;

/// What opens the tables.
const MARKER: &str = "<!-- conformance: known differences -->";

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
    pub fn parse(text: &str, edition: &str) -> Self {
        let tables = text.split_once(MARKER).map_or("", |(_, tables)| tables);
        let edition = edition.strip_prefix("reference ").unwrap_or("");
        let (mut known, mut groups) = (BTreeMap::new(), "");
        let chance = format!("{edition}?");
        for line in tables.lines() {
            if let Some(names) = line.strip_prefix("### ") {
                groups = names.trim();
            } else if let Some((case, editions, why)) = row(line)
                && let Some(one) = editions
                    .split(", ")
                    .find(|one| [edition, &chance].contains(one))
            {
                for group in groups.split(" and ") {
                    let (why, by_chance) = (why.clone(), one == chance);
                    let difference = Difference { why, by_chance };
                    known.insert((group.to_owned(), case.clone()), difference);
                }
            }
        }
        Self(known)
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

/// The three cells of a row; none for other lines and for the head of a table.
fn row(line: &str) -> Option<(String, String, String)> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let mut cells = cells.split(" | ");
    let (case, editions, why) = (cells.next()?, cells.next()?, cells.next()?);
    if case == "case" || case.starts_with("---") {
        return None;
    }
    Some((case.to_owned(), editions.to_owned(), why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_group_case_and_edition() {
        let text = format!(
            "### tuning\n| a | 1.1.1 | early |\n{MARKER}\n### tuning and bandwidth\n| case | in | why |\n| --- | --- | --- |\n\
             | a | 1.1.1, 2026-04 | both |\n| b | 2026-04? | new |\n"
        );
        let why = |known: &Known, group, case| {
            known.difference(group, case).map(|known| known.why.clone())
        };
        let old = Known::parse(&text, "reference 1.1.1");
        assert_eq!(why(&old, "tuning", "a").as_deref(), Some("both"));
        assert_eq!(why(&old, "bandwidth", "a").as_deref(), Some("both"));
        assert_eq!(why(&old, "tuning", "b"), None);
        assert_eq!(why(&old, "portmap", "a"), None);
        let new = Known::parse(&text, "reference 2026-04");
        assert!(
            new.difference("tuning", "b")
                .is_some_and(|known| known.by_chance)
        );
        assert!(
            new.difference("tuning", "a")
                .is_some_and(|known| !known.by_chance)
        );
        assert_eq!(Known::parse(&text, "ours").cases().count(), 0);
    }
}
