//! Recorded calls.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::CAPTURES;

/// One call of one plugin, of ours or another, and the answer it got.
pub struct Recorded {
    pub plugin: String,
    pub verb: String,
    pub env: BTreeMap<String, String>,
    /// The exact text.
    pub stdin: String,
    /// The same, parsed.
    pub conf: Value,
    pub netns_exists: bool,
    pub rc: i64,
    pub stdout: String,
}

impl Recorded {
    /// The calls of a capture, in order.
    pub fn all_of(capture: &str) -> Vec<Self> {
        let file = format!("{CAPTURES}/{capture}.json");
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let capture: Value = serde_json::from_str(&text).unwrap();
        capture["calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(Self::new)
            .collect()
    }

    fn new(call: &Value) -> Self {
        let text = |key: &str| call[key].as_str().unwrap().to_owned();
        let stdin = text("stdin_raw");
        Self {
            plugin: text("plugin"),
            verb: text("command"),
            env: serde_json::from_value(call["env"].clone()).unwrap(),
            conf: serde_json::from_str(&stdin).unwrap(),
            stdin,
            netns_exists: call["netns_exists"].as_bool().unwrap(),
            rc: call["rc"].as_i64().unwrap(),
            stdout: text("stdout_raw"),
        }
    }

    /// A variable; empty without.
    pub fn env(&self, key: &str) -> &str {
        self.env.get(key).map_or("", String::as_str)
    }

    /// Whether it is about one container, not about a network or a plugin.
    pub fn is_of_a_container(&self) -> bool {
        ["ADD", "CHECK", "DEL"].contains(&self.verb.as_str())
    }
}
