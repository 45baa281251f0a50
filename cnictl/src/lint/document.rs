//! A document, what is in it and where, and what is wrong with it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use common::Error;
use common::error::shortened;
use common::json::Json;

use super::place::Place;
use crate::finding::Severity;

/// The most of a finding's text, in bytes.
const LONGEST: usize = 800;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// Its severity.
    pub severity: Severity,
    /// What it is.
    pub text: String,
    /// What to write instead; may be empty.
    pub write: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (severity, text) = (self.severity.name(), printable(&self.text));
        write!(f, "{}:{}: {severity}: {text}", self.file, self.place)?;
        match self.write.as_str() {
            "" => Ok(()),
            write => write!(f, ", write {write}"),
        }
    }
}

/// One line, which nothing of a file can end or colour.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    shortened(text, LONGEST).chars().map(shown).collect()
}

/// A file's content.
#[derive(Debug)]
pub struct Document<'a> {
    /// Its name, for people.
    pub file: String,
    /// What it holds.
    pub json: Json,
    text: Cow<'a, str>,
}

/// A value in a document.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// The value.
    pub json: &'a Json,
    path: Vec<usize>,
}

impl<'a> Document<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub fn read(file: &Path, bytes: &'a [u8]) -> Result<Document<'a>, Finding> {
        let file = file.display().to_string();
        match Json::parse(bytes) {
            Ok(json) => Ok(Document {
                file,
                json,
                text: String::from_utf8_lossy(bytes),
            }),
            Err(fault) => Err(broken(file, &fault)),
        }
    }

    /// All of it.
    pub fn root(&self) -> Node<'_> {
        Node {
            json: &self.json,
            path: Vec::new(),
        }
    }

    /// Something that is found at a value.
    pub fn finding(
        &self,
        severity: Severity,
        at: &Node<'_>,
        text: impl Into<String>,
        write: impl Into<String>,
    ) -> Finding {
        Finding {
            file: self.file.clone(),
            place: Place::of(&self.text, &at.path),
            severity,
            text: text.into(),
            write: write.into(),
        }
    }
}

/// A file that cannot be read.
pub fn unreadable(file: &Path, error: &Error) -> Finding {
    Finding {
        file: file.display().to_string(),
        place: Place { line: 1, column: 1 },
        severity: Severity::Error,
        text: error.to_string(),
        write: String::new(),
    }
}

/// What is not JSON: the reader's own words, which end in the place.
fn broken(file: String, fault: &str) -> Finding {
    let number = |word: &str| {
        let (_, rest) = fault.rsplit_once(word)?;
        let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit());
        digits.into_iter().next()?.parse().ok()
    };
    let place = Place {
        line: number(" at line ").unwrap_or(1),
        column: number(" column ").unwrap_or(1).max(1),
    };
    let fault = fault.split(" at line ").next().unwrap_or(fault);
    Finding {
        file,
        place,
        severity: Severity::Error,
        text: format!("not JSON: {fault}"),
        write: String::new(),
    }
}

impl<'a> Node<'a> {
    /// The members of an object, in order; empty for anything else.
    pub fn fields(&self) -> &'a [(String, Json)] {
        match self.json {
            Json::Object(fields) => fields,
            _ => &[],
        }
    }

    /// The keys of an object with their values.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let (fields, path) = (self.fields(), self.path.clone());
        (0..).zip(fields).map(move |(number, (key, json))| {
            let path = path.iter().copied().chain([number]).collect();
            (key.as_str(), Node { json, path })
        })
    }

    /// The items of a list; empty for anything else.
    pub fn items(&self) -> impl Iterator<Item = Node<'a>> {
        let items: &[Json] = match self.json {
            Json::Array(items) => items,
            _ => &[],
        };
        let path = self.path.clone();
        (0..).zip(items).map(move |(number, json)| Node {
            json,
            path: path.iter().copied().chain([number]).collect(),
        })
    }

    /// The value of a key in any case; the last one that is not `null` counts.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let is_it =
            |(k, node): &(&str, Node<'_>)| k.eq_ignore_ascii_case(key) && *node.json != Json::Null;
        self.members().filter(is_it).last().map(|(_, node)| node)
    }

    /// A string's text.
    pub fn text(&self) -> Option<&'a str> {
        match self.json {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value that a message is about, which names its key at the beginning, or else anywhere.
    pub fn named(&self, message: &str) -> Node<'a> {
        match self.at_the_beginning_of(message) {
            Some((node, rest)) => node.named_further(rest),
            None => self.named_anywhere(message),
        }
    }

    fn named_anywhere(&self, message: &str) -> Node<'a> {
        let place = |(key, node)| Some((word(message, key)?, node));
        let found = self.members().filter_map(place).min_by_key(|(at, _)| *at);
        found.map_or_else(|| self.clone(), |(_, node)| node)
    }

    fn named_further(self, rest: &str) -> Node<'a> {
        if let Some(rest) = rest.strip_prefix('.') {
            let rest = rest.strip_prefix('"').unwrap_or(rest);
            return match self.at_the_beginning_of(rest) {
                Some((node, rest)) => node.named_further(rest),
                None => self,
            };
        }
        let number = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let item =
            number.and_then(|(number, rest)| Some((self.items().nth(number.parse().ok()?)?, rest)));
        match item {
            Some((item, rest)) => item.named_further(rest),
            None => self.named_anywhere(rest),
        }
    }

    fn at_the_beginning_of<'m>(&self, message: &'m str) -> Option<(Node<'a>, &'m str)> {
        let begins = |(key, node): (&'a str, Node<'a>)| {
            let start = message.get(..key.len())?;
            let rest = message.get(key.len()..)?;
            let is_it = start.eq_ignore_ascii_case(key)
                && !key.is_empty()
                && !rest.starts_with(char::is_alphanumeric);
            is_it.then_some((key.len(), node, rest))
        };
        let longest = self
            .members()
            .filter_map(begins)
            .max_by_key(|found| found.0);
        longest.map(|(_, node, rest)| (node, rest))
    }

    /// The way to this value from one that it is in.
    pub fn below(&self, outer: &Node<'_>) -> &[usize] {
        self.path.get(outer.path.len()..).unwrap_or_default()
    }
}

/// The place of a word in a message, if it is there as a whole one.
fn word(message: &str, word: &str) -> Option<usize> {
    let at = message.find(word).filter(|_| !word.is_empty())?;
    let (before, rest) = message.split_at(at);
    let after = rest.get(word.len()..)?;
    let is_whole =
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
    is_whole.then_some(at)
}
