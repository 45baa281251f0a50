//! How an attachment was found, and what became of it.

use common::Drift;
use common::drift::in_a_line;
use common::error::Error;

use crate::finding::some;

/// How an attachment was found, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As ADD left it.
    InOrder,
    /// Not as ADD left it: what differs. Nothing was done.
    Drifted(Difference),
    /// Not as ADD left it: what differed. It is now.
    Repaired(Difference),
    /// Deleted by the runtime meanwhile: it was not repaired, or the repair was rolled back.
    Deleted,
    /// Added again by the runtime before it was repaired: it is as that ADD left it.
    Renewed,
    /// Newer attachments have taken all that it claims: it is left to them.
    Superseded,
    /// Its namespace is gone: there is nothing to repair.
    Gone,
    /// It is not, or may not be, as ADD left it: why.
    Failed(Error),
}

/// How an attachment differs from its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In short: `8080/tcp: chain and 6 rules missing`.
    pub line: String,
    /// Everything.
    pub whole: String,
}

impl Difference {
    /// Of drifts, of something that may have names.
    pub(super) fn of(names: &[String], drifts: &[Drift]) -> Difference {
        let whole: Vec<String> = drifts.iter().map(Drift::to_string).collect();
        let mut line = in_a_line(drifts);
        if !names.is_empty() {
            line = format!("{}: {line}", some(names));
        }
        let whole = whole.join("; ");
        Difference { line, whole }
    }

    /// Of a CHECK that failed, perhaps for something that ADD repairs, such as a table that is gone.
    pub(super) fn unknown(error: &Error) -> Difference {
        let text = format!("not known before, added again: {error}");
        Difference {
            line: text.clone(),
            whole: text,
        }
    }

    pub(super) fn join(all: &[&Difference]) -> Option<Difference> {
        let join = |text: fn(&Difference) -> &str| {
            let texts: Vec<&str> = all.iter().map(|one| text(one)).collect();
            texts.join("; ")
        };
        (!all.is_empty()).then(|| Difference {
            line: join(|one| &one.line),
            whole: join(|one| &one.whole),
        })
    }
}

impl Outcome {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::InOrder => "ok",
            Outcome::Drifted(_) => "drifted",
            Outcome::Repaired(_) => "repaired",
            Outcome::Deleted => "deleted",
            Outcome::Renewed => "renewed",
            Outcome::Superseded => "superseded",
            Outcome::Gone => "gone",
            Outcome::Failed(_) => "failed",
        }
    }

    /// Whether the kernel's state may have been changed.
    pub fn is_touched(&self) -> bool {
        matches!(self, Outcome::Repaired(_) | Outcome::Failed(_))
    }

    /// The rest.
    pub fn details(&self) -> String {
        match self {
            Outcome::InOrder => String::new(),
            Outcome::Drifted(what) | Outcome::Repaired(what) => what.whole.clone(),
            Outcome::Deleted => "deleted by the runtime meanwhile".into(),
            Outcome::Renewed => "added again by the runtime meanwhile".into(),
            Outcome::Superseded => "newer attachments have what it claims".into(),
            Outcome::Gone => "the network namespace is gone".into(),
            Outcome::Failed(error) => error.to_string(),
        }
    }

    /// The rest in short.
    pub fn line(&self) -> String {
        match self {
            Outcome::Drifted(what) | Outcome::Repaired(what) => what.line.clone(),
            other => other.details(),
        }
    }
}
