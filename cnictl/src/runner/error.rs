//! What can go wrong, and how it is reported to people and to programs.

use std::fmt::{self, Display};

use serde_json::{Value, json};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the runner, or of a plugin it ran.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is wrong with an argument, a configuration or a file.
    #[error("{0}")]
    Own(String),
    /// A plugin refused, or died, or did not speak the protocol.
    #[error("{0}")]
    Plugin(Box<PluginError>),
    /// Several failures, or one and what follows from it.
    #[error("{text}")]
    Several {
        /// All of it, for people.
        text: String,
        /// What happened, for programs.
        msg: String,
        /// The failures.
        errors: Vec<Error>,
    },
}

/// The failure of one plugin.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PluginError {
    /// The `type` of the configuration.
    pub plugin: String,
    /// The verb that it was called with, as in `CNI_COMMAND`.
    pub verb: &'static str,
    /// The plugin's error code; `None` if it gave no error document.
    pub code: Option<u64>,
    /// The plugin's message, or what was wrong with its answer.
    pub msg: String,
    /// The plugin's details; empty if it gave none.
    pub details: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            plugin,
            verb,
            code,
            msg,
            details,
            stderr,
        } = self;
        write!(f, "plugin {plugin}: {verb} failed: {msg}")?;
        let indented = |text: &str, by: &str| text.trim_end().replace('\n', &format!("\n{by}"));
        if !details.is_empty() {
            let details = indented(details, "           ");
            write!(f, "\n  details: {details}")?;
        }
        if let Some(code) = code {
            write!(f, "\n  code: {code}")?;
        }
        if !stderr.trim().is_empty() {
            write!(f, "\n  stderr: {}", indented(stderr, "          "))?;
        }
        Ok(())
    }
}

impl From<common::Error> for Error {
    fn from(error: common::Error) -> Self {
        Self::Own(error.to_string())
    }
}

impl Error {
    /// A problem of a configuration: that of a file, or of a network.
    pub fn config(origin: impl Display, problem: impl Display) -> Self {
        Self::Own(format!("network configuration {origin}: {problem}"))
    }

    /// One error for any number of them.
    ///
    /// # Errors
    /// Where there are any.
    pub fn join(mut errors: Vec<Error>) -> Result<()> {
        if errors.len() > 1 {
            let text: Vec<String> = errors.iter().map(Error::to_string).collect();
            return Err(Self::Several {
                text: text.join("\n"),
                msg: format!("{} failures", errors.len()),
                errors,
            });
        }
        errors.pop().map_or(Ok(()), Err)
    }

    /// The error as a JSON object: `msg`, and for a plugin's failure also
    /// `plugin`, `verb`, `code`, `details` and `stderr` as far as they are known.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Own(msg) => json!({"msg": msg}),
            Self::Plugin(error) => error.to_json(),
            Self::Several { msg, errors, .. } => {
                let errors: Value = errors.iter().map(Self::to_json).collect();
                json!({"msg": msg, "errors": errors})
            }
        }
    }
}

impl PluginError {
    fn to_json(&self) -> Value {
        let Self {
            plugin,
            verb,
            code,
            msg,
            details,
            stderr,
        } = self;
        let all = json!({
            "plugin": plugin, "verb": verb, "code": code, "msg": msg, "details": details, "stderr": stderr,
        });
        let is_known = |value: &Value| !value.is_null() && value != "";
        let fields = all.as_object().into_iter().flatten();
        let known = fields.filter(|(_, value)| is_known(value));
        known
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_error_names_plugin_verb_code_and_details() {
        let error = Error::Plugin(Box::new(PluginError {
            plugin: "bridge".into(),
            verb: "ADD",
            code: Some(11),
            msg: "try again".into(),
            details: "one\ntwo".into(),
            stderr: String::new(),
        }));
        assert_eq!(
            error.to_string(),
            "plugin bridge: ADD failed: try again\n  details: one\n           two\n  code: 11"
        );
        assert_eq!(
            error.to_json().to_string(),
            r#"{"plugin":"bridge","verb":"ADD","code":11,"msg":"try again","details":"one\ntwo"}"#
        );
    }
}
