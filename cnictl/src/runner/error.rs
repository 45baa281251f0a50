//! What can go wrong, and how it is reported to people and to programs.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::runner::Verb;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the runner, or of a plugin it ran.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument or a variable of the environment does not hold what it should.
    #[error("{0}")]
    Usage(String),
    /// A network configuration cannot be used.
    #[error("network configuration {origin}: {problem}")]
    Config {
        /// The file, or the name of the network.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or directory could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// The verb of the sentence: `read`, `write`, `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The cache could not be read or written.
    #[error(transparent)]
    Cache(#[from] common::Error),
    /// No plugin of that type is installed.
    #[error("plugin {plugin} not found: searched {}", searched(directories))]
    PluginNotFound {
        /// The `type` of the configuration.
        plugin: String,
        /// The directories of `CNI_PATH`, in order.
        directories: Vec<PathBuf>,
    },
    /// A plugin refused, or died, or did not speak the protocol.
    #[error("{0}")]
    Plugin(Box<PluginError>),
    /// An ADD failed, and so did the DEL that was to clean up after it.
    #[error("{add}\nthe DEL that followed failed too: {del}")]
    AddAndDel {
        /// Why ADD failed.
        add: Box<Error>,
        /// Why the chain could not be removed.
        del: Box<Error>,
    },
    /// An ADD failed of an attachment that was there before, and so had no DEL.
    #[error("{add}\nDEL was not run, as an earlier ADD of it is in {}: cnictl del removes it", file.display())]
    AddAgain {
        /// Why ADD failed.
        add: Box<Error>,
        /// The attachment's file in the cache.
        file: PathBuf,
    },
    /// CHECK needs the result of ADD, and there is none.
    #[error(
        "nothing to check: {} has no result of ADD for container {container} and interface {ifname} on \
         network {network}; --container-id, --ifname and --cache-dir name another",
        file.display()
    )]
    NotAttached {
        /// The name of the network.
        network: String,
        /// The container's ID.
        container: String,
        /// The interface in it.
        ifname: String,
        /// Where the attachment would be in the cache.
        file: PathBuf,
    },
    /// Several independent failures.
    #[error("{}", lines(.0))]
    Several(Vec<Error>),
}

/// The failure of one plugin.
#[derive(Debug, PartialEq, Eq)]
pub struct PluginError {
    /// The `type` of the configuration.
    pub plugin: String,
    /// The verb that it was called with.
    pub verb: Verb,
    /// The plugin's error code; `None` if it gave no error document.
    pub code: Option<u64>,
    /// The plugin's message, or what was wrong with its answer.
    pub msg: String,
    /// The plugin's details; empty if it gave none.
    pub details: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl std::fmt::Display for PluginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            plugin,
            verb,
            code,
            msg,
            details,
            stderr,
        } = self;
        write!(f, "plugin {plugin}: {verb} failed: {msg}")?;
        if !details.is_empty() {
            write!(
                f,
                "\n  details: {}",
                details.trim_end().replace('\n', "\n           ")
            )?;
        }
        if let Some(code) = code {
            write!(f, "\n  code: {code}")?;
        }
        if !stderr.trim().is_empty() {
            write!(
                f,
                "\n  stderr: {}",
                stderr.trim_end().replace('\n', "\n          ")
            )?;
        }
        Ok(())
    }
}

impl Error {
    /// A configuration problem.
    pub fn config(origin: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config {
            origin: origin.into(),
            problem: problem.into(),
        }
    }

    /// A failed file operation.
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// One error for any number of them; `None` for none.
    pub fn join(mut errors: Vec<Error>) -> Option<Self> {
        if errors.len() > 1 {
            Some(Self::Several(errors))
        } else {
            errors.pop()
        }
    }

    /// The error as a JSON object: `msg`, and for a plugin's failure also
    /// `plugin`, `verb`, `code`, `details` and `stderr` as far as they are known.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Plugin(error) => error.to_json(),
            Self::AddAndDel { add, del } => json!({
                "msg": "ADD failed, and so did the DEL that followed",
                "errors": [add.to_json(), del.to_json()],
            }),
            Self::AddAgain { add, file } => json!({
                "msg": format!("ADD failed; DEL was not run, as an earlier ADD is in {}", file.display()),
                "errors": [add.to_json()],
            }),
            Self::Several(errors) => json!({
                "msg": format!("{} failures", errors.len()),
                "errors": errors.iter().map(Self::to_json).collect::<Vec<_>>(),
            }),
            other => json!({ "msg": other.to_string() }),
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
        let mut object = Map::new();
        object.insert("plugin".into(), json!(plugin));
        object.insert("verb".into(), json!(verb.name()));
        if let Some(code) = code {
            object.insert("code".into(), json!(code));
        }
        object.insert("msg".into(), json!(msg));
        for (key, text) in [("details", details), ("stderr", stderr)] {
            if !text.is_empty() {
                object.insert(key.into(), json!(text));
            }
        }
        Value::Object(object)
    }
}

fn searched(directories: &[PathBuf]) -> String {
    if directories.is_empty() {
        return "nothing, the plugin path is empty (--path or CNI_PATH)".into();
    }
    let directories: Vec<String> = directories
        .iter()
        .map(|d| d.display().to_string())
        .collect();
    directories.join(", ")
}

fn lines(errors: &[Error]) -> String {
    let errors: Vec<String> = errors.iter().map(Error::to_string).collect();
    errors.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_error_names_plugin_verb_code_and_details() {
        let error = Error::Plugin(Box::new(PluginError {
            plugin: "bridge".into(),
            verb: Verb::Add,
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

    #[test]
    fn a_missing_plugin_lists_the_directories_searched() {
        let error = Error::PluginNotFound {
            plugin: "bridge".into(),
            directories: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
        };
        assert_eq!(
            error.to_string(),
            "plugin bridge not found: searched /opt/cni/bin, /usr/lib/cni"
        );
    }
}
