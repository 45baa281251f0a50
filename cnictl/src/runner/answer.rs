//! What a plugin answered: its exit status, stdout and stderr, and what they mean.

use common::version::Version;
use serde_json::Value;

use crate::runner::error::PluginError;
use crate::runner::network::numbers;
use crate::runner::request::Request;
use crate::runner::{Error, Result};

/// The longest part that an error quotes of an answer that is not JSON, in characters.
const LONGEST_QUOTE: usize = 500;

/// The raw answer of one plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The exit code is 0.
    pub success: bool,
    /// How the process ended, in words: `exit status: 1`, `signal: 9 (SIGKILL)`.
    pub status: String,
    /// Everything on stdout.
    pub stdout: Vec<u8>,
    /// Everything on stderr.
    pub stderr: Vec<u8>,
}

impl Answer {
    /// Success, or the plugin's own error with its code, message and details.
    pub fn check(&self, request: &Request) -> Result<()> {
        if self.success {
            Ok(())
        } else {
            Err(self.error_document(request))
        }
    }

    /// The result of ADD. A result without `cniVersion` has the version of the configuration.
    pub fn result(&self, request: &Request, cni_version: &str) -> Result<Value> {
        self.check(request)?;
        let mut result = match serde_json::from_slice(&self.stdout) {
            Ok(Value::Object(result)) => result,
            Ok(Value::Null) => serde_json::Map::new(),
            Ok(_) => return Err(self.nonsense(request, "its result is not a JSON object")),
            Err(_) if self.stdout.is_empty() => {
                return Err(self.nonsense(request, "it gave no result"));
            }
            Err(error) => {
                return Err(self.nonsense(request, &format!("its result is not JSON ({error})")));
            }
        };
        let version = match result.get("cniVersion").and_then(Value::as_str) {
            Some(version) if !version.is_empty() => version.to_owned(),
            _ => {
                result.insert("cniVersion".into(), cni_version.into());
                cni_version.to_owned()
            }
        };
        let is_it = |known: &Version| numbers(known.text()) == numbers(&version);
        if numbers(&version).is_err() || !Version::ALL.iter().any(is_it) {
            let problem = format!("its result has the unknown cniVersion {version:?}");
            return Err(self.nonsense(request, &problem));
        }
        Ok(Value::Object(result))
    }

    /// The answer to VERSION: the supported versions as the plugin wrote them.
    pub fn versions(&self, request: &Request) -> Result<Vec<String>> {
        if !self.success {
            // Plugins older than the verb: they speak 0.1.0 and say that they do not know it.
            let Err(Error::Plugin(error)) = self.check(request) else {
                return Ok(Vec::new());
            };
            return match error.msg.as_str() {
                "unknown CNI_COMMAND: VERSION" => Ok(vec!["0.1.0".into()]),
                _ => Err(Error::Plugin(error)),
            };
        }
        let document: Value = serde_json::from_slice(&self.stdout).map_err(|error| {
            let problem = format!("its version document is not JSON ({error})");
            self.nonsense(request, &problem)
        })?;
        let listed = document.get("supportedVersions").and_then(Value::as_array);
        let text = |version: &Value| version.as_str().map(str::to_owned);
        let listed: Option<Vec<String>> = listed.map(|all| all.iter().filter_map(text).collect());
        match (listed, document.get("cniVersion").and_then(Value::as_str)) {
            (Some(versions), Some(_)) if !versions.is_empty() => Ok(versions),
            (_, Some("0.2.0")) => Ok(vec!["0.1.0".into(), "0.2.0".into()]),
            (_, Some(_)) => {
                Err(self.nonsense(request, "its version document has no supportedVersions"))
            }
            (_, None) => Err(self.nonsense(request, "its version document has no cniVersion")),
        }
    }

    fn error_document(&self, request: &Request) -> Error {
        let Ok(Value::Object(document)) = serde_json::from_slice::<Value>(&self.stdout) else {
            let lacks = match self.stdout.is_empty() {
                true => " and gave no error message",
                false => ", and its error message is not a JSON object",
            };
            return self.nonsense(request, &format!("it ended with {}{lacks}", self.status));
        };
        let text = |key: &str| {
            let text = document.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let msg = match text("msg") {
            msg if msg.is_empty() => format!("it ended with {} and gave no message", self.status),
            msg => msg,
        };
        let code = document.get("code").and_then(Value::as_u64);
        self.error(request, code, msg, text("details"))
    }

    /// The plugin violated the protocol: how, with a quotation of what it printed.
    fn nonsense(&self, request: &Request, problem: &str) -> Error {
        let mut details = String::new();
        if !self.stdout.is_empty() {
            let text = String::from_utf8_lossy(&self.stdout);
            let quoted: String = text.chars().take(LONGEST_QUOTE).collect();
            let end = text.chars().nth(LONGEST_QUOTE).map_or("", |_| "…");
            details = format!("stdout: {quoted}{end}");
        }
        self.error(request, None, problem.to_owned(), details)
    }

    fn error(&self, request: &Request, code: Option<u64>, msg: String, details: String) -> Error {
        Error::Plugin(Box::new(PluginError {
            plugin: request.plugin.clone(),
            verb: request.verb.name(),
            code,
            msg,
            details,
            stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::request;

    fn answer(success: bool, stdout: &str) -> Answer {
        let status = "exit status: 1".into();
        Answer {
            success,
            status,
            stdout: stdout.into(),
            stderr: Vec::new(),
        }
    }

    #[test]
    fn the_plugins_own_error_is_kept() {
        let stdout = r#"{"cniVersion":"1.0.0","code":11,"msg":"later","details":"busy"}"#;
        let Err(Error::Plugin(error)) = answer(false, stdout).check(&request::version("p")) else {
            panic!()
        };
        assert_eq!(
            (error.code, error.msg.as_str(), error.details.as_str()),
            (Some(11), "later", "busy")
        );
    }

    #[test]
    fn a_failure_without_a_document_is_told_with_what_was_printed() {
        let table = [
            ("", "it ended with exit status: 1 and gave no error message"),
            (
                "panic: x",
                "its error message is not a JSON object\n  details: stdout: panic: x",
            ),
            ("{}", "it ended with exit status: 1 and gave no message"),
        ];
        for (stdout, expected) in table {
            let error = answer(false, stdout)
                .check(&request::version("p"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{stdout}: {error}");
        }
    }

    #[test]
    fn a_result_gets_the_version_of_the_configuration_if_it_has_none() {
        for stdout in ["{}", "null", r#"{"cniVersion":""}"#] {
            let result = answer(true, stdout)
                .result(&request::version("p"), "0.4.0")
                .unwrap();
            assert_eq!(result.to_string(), r#"{"cniVersion":"0.4.0"}"#, "{stdout}");
        }
    }

    #[test]
    fn a_result_that_is_none_is_refused() {
        let table = [
            ("", "it gave no result"),
            ("hello", "its result is not JSON"),
            ("[]", "its result is not a JSON object"),
            ("{}{}", "its result is not JSON"),
            (r#"{"cniVersion":"7.0.0"}"#, "unknown cniVersion \"7.0.0\""),
        ];
        for (stdout, expected) in table {
            let error = answer(true, stdout)
                .result(&request::version("p"), "1.0.0")
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{stdout}: {error}");
        }
    }

    #[test]
    fn versions_of_old_and_new_plugins_are_read() {
        let table = [
            (
                true,
                r#"{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.1.0"]}"#,
                Some("0.4.0 1.1.0"),
            ),
            (true, r#"{"cniVersion":"0.2.0"}"#, Some("0.1.0 0.2.0")),
            (
                false,
                r#"{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}"#,
                Some("0.1.0"),
            ),
            (false, r#"{"code":4,"msg":"no"}"#, None),
            (true, r#"{"cniVersion":"1.0.0"}"#, None),
            (true, r#"{"supportedVersions":["1.0.0"]}"#, None),
            (true, "", None),
        ];
        for (success, stdout, expected) in table {
            let versions = answer(success, stdout)
                .versions(&request::version("p"))
                .ok();
            assert_eq!(
                versions.map(|v| v.join(" ")).as_deref(),
                expected,
                "{stdout}"
            );
        }
    }
}
