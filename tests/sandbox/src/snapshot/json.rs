//! Reading what the tools print as JSON.

use std::io;

use serde_json::Value;

use crate::namespace::Namespace;

/// Runs a tool that prints a JSON array, and returns its elements. Nothing printed is an empty array.
pub(super) fn list(namespace: &Namespace, line: &[&str]) -> io::Result<Vec<Value>> {
    match read(namespace, line)? {
        Value::Array(values) => Ok(values),
        Value::Null => Ok(Vec::new()),
        other => Err(io::Error::other(format!(
            "{line:?} printed no array: {other}"
        ))),
    }
}

/// Runs a tool that prints JSON. Nothing printed is null.
pub(super) fn read(namespace: &Namespace, line: &[&str]) -> io::Result<Value> {
    let text = namespace.try_sh(line)?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text)
        .map_err(|e| io::Error::other(format!("{line:?} printed no JSON: {e}: {text}")))
}

/// A field as text; empty when it is missing.
pub(super) fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A field as a number; 0 when it is missing.
pub(super) fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// Takes every field of one of these names away, at any depth.
pub(super) fn strip(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !keys.contains(&key.as_str()));
            fields.values_mut().for_each(|field| strip(field, keys));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| strip(value, keys)),
        _ => {}
    }
}
