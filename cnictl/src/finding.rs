//! What `doctor` and `explain` found, and how it is shown.

use common::Error;
use serde_json::{Value, json};

use crate::table::{Page, Table, Tone, column};

/// The severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It may be wanted, and does harm where it is not; or it cannot be judged.
    Warning,
    /// Something does not work, or could not be checked.
    Error,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Severity::Ok => Tone::Plain,
            Severity::Warning => Tone::Doubtful,
            Severity::Error => Tone::Bad,
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// What was looked at.
    pub object: String,
    /// What was found, and what that means.
    pub text: String,
    /// What to run; may be empty.
    pub run: String,
}

impl Finding {
    /// Of a severity.
    pub fn new(severity: Severity, object: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding {
            severity,
            object: object.into(),
            text: text.into(),
            run: String::new(),
        }
    }

    /// As it should be.
    pub fn ok(object: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding::new(Severity::Ok, object, text)
    }

    /// Perhaps not.
    pub fn warning(object: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding::new(Severity::Warning, object, text)
    }

    /// Surely not.
    pub fn error(object: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding::new(Severity::Error, object, text)
    }

    /// What could not be checked.
    pub fn unread(object: impl Into<String>, error: &Error) -> Finding {
        Finding::error(object, format!("could not be checked: {error}"))
    }

    /// With what to run.
    #[must_use]
    pub fn run(self, run: impl Into<String>) -> Finding {
        Finding {
            run: run.into(),
            ..self
        }
    }
}

/// A line for each; on a narrow page two where one does not fit.
pub fn text(findings: &[Finding], page: Page) -> String {
    let meaning = column("WHAT IT MEANS").folded();
    let columns = [column("FOUND"), column("OBJECT"), meaning];
    let mut table = Table::new(columns);
    for finding in findings {
        let Finding {
            severity,
            object,
            text,
            run,
        } = finding;
        let text = match run.as_str() {
            "" => text.clone(),
            run => format!("{text}; run: {run}"),
        };
        table.row(
            severity.tone(),
            [severity.name().to_owned(), object.clone(), text],
        );
    }
    table.text(page)
}

/// As a document's list.
pub fn json(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        let Finding {
            severity,
            object,
            text,
            run,
        } = finding;
        let run = Some(run).filter(|run| !run.is_empty());
        json!({"severity": severity.name(), "object": object, "message": text, "run": run})
    };
    findings.iter().map(one).collect()
}

/// A number of things of one kind, as English has it: `1 attachment`, `2 attachments`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// The first of some names, and how many more there are.
pub fn some(names: &[String]) -> String {
    some_by(names, ", ")
}

/// The same, with another separator for names that have commas.
pub fn some_by(names: &[String], separator: &str) -> String {
    const SHOWN: usize = 3;
    let shown = names.get(..SHOWN).unwrap_or(names).join(separator);
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_or_two_and_control_characters_stay_out_of_it() {
        let findings = [
            Finding::ok("kernel", "all\nthere"),
            Finding::error("ports", "gone").run("cnictl reconcile"),
        ];
        let on = |width| {
            let page = Page {
                width,
                colour: false,
            };
            text(&findings, page)
        };
        let whole = "FOUND  OBJECT  WHAT IT MEANS\n\
                     ok     kernel  all?there\n\
                     error  ports   gone; run: cnictl reconcile\n";
        assert_eq!(on(None), whole);
        assert_eq!(on(Some(42)), whole);
        assert_eq!(
            on(Some(41)),
            "FOUND  OBJECT  WHAT IT MEANS\n\
             ok     kernel  all?there\n\
             error  ports\n         gone; run: cnictl reconcile\n"
        );
    }

    #[test]
    fn one_is_not_many() {
        let all = [0, 1, 2].map(|count| counted(count, "attachment"));
        assert_eq!(all, ["0 attachments", "1 attachment", "2 attachments"]);
    }

    #[test]
    fn of_many_names_some_are_shown() {
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(some(&names), "a, b, c and 2 more");
        assert_eq!(some(&names[..2]), "a, b");
    }
}
