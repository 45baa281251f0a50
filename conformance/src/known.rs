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
//! A heading names the group, a row the case by its name. The tables end with the file.

use std::collections::BTreeMap;

/// What opens the tables.
const MARKER: &str = "<!-- conformance: known differences -->";

/// Reasons by group and case.
pub struct Known(BTreeMap<(String, String), String>);

impl Known {
    /// Reads the rows that are about `edition` (`reference 1.1.1`).
    pub fn parse(text: &str, edition: &str) -> Self {
        let tables = text.split_once(MARKER).map_or("", |(_, tables)| tables);
        let edition = edition.strip_prefix("reference ").unwrap_or("");
        let (mut known, mut group) = (BTreeMap::new(), "");
        for line in tables.lines() {
            if let Some(name) = line.strip_prefix("### ") {
                group = name.trim();
            } else if let Some((case, editions, why)) = row(line)
                && editions.split(',').any(|one| one.trim() == edition)
            {
                known.insert((group.to_owned(), case), why);
            }
        }
        Self(known)
    }

    /// Why a case is known to fail.
    pub fn reason(&self, group: &str, case: &str) -> Option<&str> {
        self.0
            .get(&(group.to_owned(), case.to_owned()))
            .map(String::as_str)
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
            "### tuning\n| a | 1.1.1 | early |\n{MARKER}\n### tuning\n| case | in | why |\n| --- | --- | --- |\n\
             | a | 1.1.1, 2026-04 | both |\n| b | 2026-04 | new |\n"
        );
        let old = Known::parse(&text, "reference 1.1.1");
        assert_eq!(old.reason("tuning", "a"), Some("both"));
        assert_eq!(old.reason("tuning", "b"), None);
        assert_eq!(old.reason("portmap", "a"), None);
        let new = Known::parse(&text, "reference 2026-04");
        assert_eq!(new.reason("tuning", "b"), Some("new"));
        assert_eq!(Known::parse(&text, "ours").cases().count(), 0);
    }
}
