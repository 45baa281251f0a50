//! How much is logged.

/// What kind of a line it is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The request was refused, or could not be carried out.
    Error,
    /// The request continues, but something should be looked at.
    Warning,
    /// The request has changed something.
    Info,
    /// The request has changed nothing.
    Debug,
}

impl Level {
    /// Its name in a line.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// The lines that are written: this level and everything graver, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold(Option<Level>);

/// What [`Threshold::from_text`] takes, for messages; other plugins' names for the same are not listed.
pub const KNOWN: &str = "debug, info, warning, error or panic";

impl Threshold {
    /// Warnings and refusals.
    pub const WARNING: Threshold = Threshold(Some(Level::Warning));
    /// These, and what was changed.
    pub const INFO: Threshold = Threshold(Some(Level::Info));

    /// The threshold of a name, in any case: ours, and those that other CNI plugins have for the same.
    pub fn from_text(text: &str) -> Option<Threshold> {
        let level = match text.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Some(Level::Debug),
            "verbose" | "info" => Some(Level::Info),
            "warn" | "warning" => Some(Level::Warning),
            "error" => Some(Level::Error),
            // A plugin that is about to crash; ours do not.
            "fatal" | "panic" => None,
            _ => return None,
        };
        Some(Threshold(level))
    }

    /// Whether a line is written.
    pub fn shows(self, level: Level) -> bool {
        self.0.is_some_and(|least| level <= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_shows_its_level_and_what_is_graver() {
        let all = [Level::Error, Level::Warning, Level::Info, Level::Debug];
        for (names, shown) in [
            (&["debug", "TRACE"][..], 4),
            (&["info", "Verbose"], 3),
            (&["warning", "WARN"], 2),
            (&["error", "ERROR"], 1),
            (&["panic", "fatal"], 0),
        ] {
            for name in names {
                let threshold = Threshold::from_text(name).unwrap();
                let count = all.iter().take_while(|level| threshold.shows(**level));
                assert_eq!(count.count(), shown, "{name}");
            }
        }
        for unknown in ["", "5", "informational", " info", "off"] {
            assert_eq!(Threshold::from_text(unknown), None, "{unknown:?}");
        }
        assert_eq!(Threshold::from_text("info"), Some(Threshold::INFO));
        assert_eq!(Threshold::from_text("warning"), Some(Threshold::WARNING));
    }
}
