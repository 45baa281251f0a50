//! What a plugin answered, and what may be expected of it.

use sandbox::plugin::Answer;
use serde_json::Value;

use crate::failure::{Failure, Verdict, ensure, fail};

/// An answer, with the verb it answers.
pub struct Reply {
    verb: String,
    answer: Answer,
}

/// An error object of the CNI specification.
#[derive(Debug)]
pub struct ErrorObject {
    /// What kind of error.
    pub code: u64,
    /// One line for people.
    pub msg: String,
    /// The whole object.
    pub value: Value,
}

impl Reply {
    /// An answer to `verb`.
    pub fn new(verb: &str, answer: Answer) -> Self {
        Self {
            verb: verb.to_owned(),
            answer,
        }
    }

    /// Standard output.
    pub fn stdout(&self) -> &str {
        &self.answer.stdout
    }

    /// Standard error.
    pub fn stderr(&self) -> &str {
        &self.answer.stderr
    }

    /// Success.
    pub fn ok(&self) -> Verdict {
        ensure(self.answer.code == Some(0), || {
            format!("{} fails: {}", self.verb, self.seen())
        })
    }

    /// Success without a word on stdout.
    pub fn silent(&self) -> Verdict {
        self.ok()?;
        ensure(self.answer.stdout.is_empty(), || {
            format!("{} prints {:?}", self.verb, self.answer.stdout)
        })
    }

    /// Success and one JSON object on stdout.
    pub fn result(&self) -> Result<Value, Failure> {
        self.ok()?;
        self.document()
    }

    /// Failure as the specification wants it: exit code 1 and one error object on stdout.
    pub fn error(&self) -> Result<ErrorObject, Failure> {
        if self.answer.code != Some(1) {
            return fail(format!(
                "{} should fail with exit code 1: {}",
                self.verb,
                self.seen()
            ));
        }
        let value = self.document()?;
        let (code, msg) = (value["code"].as_u64(), value["msg"].as_str());
        match (code, msg) {
            (Some(code), Some(msg)) if code > 0 && !msg.trim().is_empty() => Ok(ErrorObject {
                code,
                msg: msg.to_owned(),
                value,
            }),
            _ => fail(format!("{} answers no error object: {value}", self.verb)),
        }
    }

    /// Failure with this code.
    pub fn code(&self, code: u64) -> Verdict {
        let error = self.error()?;
        ensure(error.code == code, || {
            format!(
                "{} answers code {} instead of {code}: {}",
                self.verb, error.code, error.msg
            )
        })
    }

    /// Failure of CHECK because of drift: a code of the plugin's own.
    pub fn drift(&self) -> Verdict {
        if self.answer.code == Some(0) {
            return fail(format!("{} does not see it", self.verb));
        }
        let error = self.error()?;
        ensure(error.code >= 100, || {
            format!("{} fails, but not for drift: {}", self.verb, error.value)
        })
    }

    /// Success or an error as it should be, but no crash, no hang, nothing unreadable.
    pub fn orderly(&self) -> Verdict {
        match self.answer.code {
            Some(0) if self.answer.stdout.is_empty() => Ok(()),
            Some(0) => self.document().map(drop),
            _ => self.error().map(drop),
        }
    }

    fn document(&self) -> Result<Value, Failure> {
        let documents: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_str(&self.answer.stdout)
                .into_iter()
                .collect();
        match documents.as_deref() {
            Ok([value @ Value::Object(_)]) => Ok(value.clone()),
            Ok(documents) => fail(format!(
                "{} prints {} JSON documents: {}",
                self.verb,
                documents.len(),
                self.seen()
            )),
            Err(e) => fail(format!(
                "{} prints no JSON ({e}): {}",
                self.verb,
                self.seen()
            )),
        }
    }

    fn seen(&self) -> String {
        let short = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let code = match self.answer.code {
            Some(code) => format!("exit code {code}"),
            None => "a signal".to_owned(),
        };
        let (stdout, stderr) = (short(&self.answer.stdout), short(&self.answer.stderr));
        let text = format!("{code}, stdout {stdout:?}, stderr {stderr:?}");
        text.chars().take(600).collect()
    }
}
