//! What is reported: one line for each look that did something or could not.

use std::collections::BTreeSet;

use common::Attachment;

use crate::finding::some_by;
use crate::plugins::Plugin;
use crate::repair::Outcome;

/// What one look did.
#[derive(Debug, Default)]
pub struct Line {
    /// What was repaired.
    pub repaired: Vec<String>,
    /// What was repaired, and rolled back as the runtime had deleted it.
    pub taken_back: Vec<String>,
    /// What could not be read or repaired.
    pub failed: Vec<String>,
    /// Whose parts were repaired.
    pub repaired_by: BTreeSet<Plugin>,
    /// Attachments whose namespaces are gone: there is nothing to repair.
    pub gone: BTreeSet<Attachment>,
}

impl Line {
    /// Notes what became of a repair. What the runtime added again may be in order.
    pub fn confirmed(&mut self, outcome: &Outcome, what: String) {
        match outcome {
            Outcome::Failed(_) => self.failed.push(what),
            Outcome::Deleted => self.taken_back.push(what),
            Outcome::Repaired(_) => self.repaired.push(what),
            _ => {}
        }
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.repaired.is_empty() && self.taken_back.is_empty() && self.failed.is_empty()
    }

    /// The line; `None` where nothing was done.
    pub fn after(&self, causes: &BTreeSet<String>) -> Option<String> {
        let parts = [
            ("repaired", &self.repaired),
            ("rolled back", &self.taken_back),
            ("failed", &self.failed),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, all)| !all.is_empty())
            .map(|(word, all)| part(word, all))
            .collect();
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        let after = match causes.is_empty() {
            true => String::new(),
            false => format!("after {}: ", causes.join(", ")),
        };
        (!parts.is_empty()).then(|| format!("{after}{}", parts.join("; ")))
    }
}

/// What is not repaired, as its namespace is gone; `None` where that is nothing.
pub fn gone(all: &BTreeSet<Attachment>) -> Option<String> {
    let text = "not checked, as their network namespaces are gone";
    (!all.is_empty()).then(|| format!("{text}: {}", all.len()))
}

fn part(word: &str, all: &[String]) -> String {
    format!("{word} {}: {}", all.len(), some_by(all, "; "))
}

/// What became of a plugin's part in an attachment, in short.
pub fn shown(plugin: Plugin, owner: &str, outcome: &Outcome) -> String {
    let line = outcome.line().replace('\n', " ");
    match outcome {
        Outcome::Deleted => format!("{} of {owner}", plugin.name()),
        _ => format!("{} of {owner} ({line})", plugin.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(repaired: usize, failed: usize, causes: &[&str]) -> Option<String> {
        let names = |count: usize| (0..count).map(|n| format!("n{n}")).collect();
        let line = Line {
            repaired: names(repaired),
            failed: names(failed),
            ..Line::default()
        };
        line.after(&causes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_line_says_why_and_what() {
        for (repaired, failed, causes, expected) in [
            (0, 0, &["a start"][..], None),
            (1, 0, &[], Some("repaired 1: n0")),
            (
                2,
                0,
                &["a change by nft"],
                Some("after a change by nft: repaired 2: n0; n1"),
            ),
            (
                1,
                1,
                &["a", "b"],
                Some("after a, b: repaired 1: n0; failed 1: n0"),
            ),
            (
                9,
                0,
                &["a"],
                Some("after a: repaired 9: n0; n1; n2 and 6 more"),
            ),
        ] {
            assert_eq!(line(repaired, failed, causes).as_deref(), expected);
        }
    }
}
