//! The one error of a plugin, shaped by the protocol: a code, what was tried on what, and the cause.

use std::borrow::Cow;
use std::fmt::{self, Display};

/// The most that a message quotes of one text of others, in bytes.
pub const QUOTED: usize = 200;

/// Text of others as messages have it: long ones are cut, and end in how long they are. To be printed
/// in quotes (`{:?}`) unless it is known to be a name.
pub fn short(text: &str) -> Cow<'_, str> {
    shortened(text, QUOTED)
}

/// As [`short`], with a bound of its own.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.len() <= most {
        true => Cow::Borrowed(text),
        false => {
            let kept = text
                .get(..text.floor_char_boundary(most))
                .unwrap_or_default();
            Cow::Owned(format!("{kept}... ({} bytes)", text.len()))
        }
    }
}

/// Text of others for a terminal: control characters are escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Error codes: those of the spec below 100, ours from 100 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1: the configuration's spec version is not supported, or does not allow the verb.
    IncompatibleVersion,
    /// 4: a `CNI_*` variable is missing or invalid.
    InvalidEnvironment,
    /// 5: stdin, stdout or a file could not be read or written.
    Io,
    /// 6: stdin is not JSON, or a value has the wrong type.
    Decoding,
    /// 7: the configuration says something impossible.
    InvalidConfig,
    /// 8: `CNI_NETNS` is not a network namespace, is gone, or is the plugin's own.
    InvalidNetns,
    /// 11: something transient is in the way; the same request may succeed later.
    TryAgainLater,
    /// 50: STATUS: the plugin cannot serve ADD requests on this node.
    NotAvailable,
    /// 100: the kernel or a tool refused.
    System,
    /// 101: CHECK found the kernel's state changed; `details` lists every drift.
    Drift,
    /// 102: a host port belongs to another attachment (`"onConflict": "error"`).
    Conflict,
    /// 103: this node's kernel or tools cannot do what was requested.
    Unsupported,
    /// 104: the administrator's allowlist forbids it.
    Forbidden,
}

impl Code {
    /// The number in the error's `code`.
    pub fn number(self) -> u32 {
        match self {
            Code::IncompatibleVersion => 1,
            Code::InvalidEnvironment => 4,
            Code::Io => 5,
            Code::Decoding => 6,
            Code::InvalidConfig => 7,
            Code::InvalidNetns => 8,
            Code::TryAgainLater => 11,
            Code::NotAvailable => 50,
            Code::System => 100,
            Code::Drift => 101,
            Code::Conflict => 102,
            Code::Unsupported => 103,
            Code::Forbidden => 104,
        }
    }
}

/// What a plugin answers when it cannot do what was requested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The class of the failure.
    pub code: Code,
    /// What was tried, on which object.
    pub msg: String,
    /// The cause; empty when `msg` says it all.
    pub details: String,
}

impl Error {
    /// An error that needs no further cause.
    pub fn new(code: Code, msg: impl Into<String>) -> Error {
        Error {
            code,
            msg: msg.into(),
            details: String::new(),
        }
    }

    /// The same error with its cause.
    pub fn with_details(mut self, details: impl Display) -> Error {
        self.details = details.to_string();
        self
    }

    /// Several failures as one: the first decides the code, all of them are listed.
    /// `None` when there are none.
    pub fn all(errors: Vec<Error>) -> Option<Error> {
        let mut errors = errors.into_iter();
        let first = errors.next()?;
        Some(errors.fold(first, Error::and))
    }

    /// This failure, followed by another one.
    pub fn and(mut self, other: Error) -> Error {
        if !self.details.is_empty() {
            self.details.push_str("; ");
        }
        self.details.push_str(&other.to_string());
        self
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)?;
        if !self.details.is_empty() {
            write!(f, ": {}", self.details)?;
        }
        Ok(())
    }
}

/// Says of a failure what was tried.
pub trait Context<T> {
    /// Turns any error into ours: `tried` becomes the message, the error itself the details.
    ///
    /// # Errors
    /// The given error, if there was one.
    fn context(self, code: Code, tried: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, code: Code, tried: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|cause| Error::new(code, tried()).with_details(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_whole_character_and_say_how_long_they_are() {
        assert_eq!(short("abc"), "abc");
        assert_eq!(short(&"x".repeat(200)), "x".repeat(200));
        let long = "ä".repeat(200);
        assert_eq!(short(&long), format!("{}... (400 bytes)", "ä".repeat(100)));
        assert_eq!(shortened(&long, 3), "ä... (400 bytes)");
    }

    #[test]
    fn several_failures_are_all_told_and_the_first_decides_the_code() {
        assert_eq!(Error::all(vec![]), None);
        let first = Error::new(Code::Io, "read a").with_details("denied");
        let second = Error::new(Code::System, "set b");
        let both = Error::all(vec![first, second]).unwrap();
        assert_eq!(both.code, Code::Io);
        assert_eq!(both.to_string(), "read a: denied; set b");
    }
}
