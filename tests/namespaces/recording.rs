//! What was recorded of the reference: requests, answers, and the kernel's state after them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// One recorded call or more: a directory below `testdata`.
pub struct Recording(PathBuf);

impl Recording {
    /// The recording of that name among those of a plugin.
    pub fn new(plugin: &str, name: &str) -> Recording {
        let testdata = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");
        Recording(PathBuf::from(testdata).join(plugin).join(name))
    }

    pub fn text(&self, file: &str) -> String {
        let path = self.0.join(file);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.text(file)).unwrap()
    }

    /// What went to stdin; empty where that is not recorded.
    pub fn stdin(&self, verb: &str) -> Vec<u8> {
        fs::read(self.0.join(format!("{verb}.request.json"))).unwrap_or_default()
    }

    /// The environment of a verb, by its variables.
    pub fn env(&self, verb: &str) -> Vec<(String, String)> {
        let text = self.text(&format!("{verb}.env"));
        let pairs = text.lines().map(|line| line.split_once('=').unwrap());
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}
