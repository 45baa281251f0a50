//! A network configuration list: the chain of plugins, and the version of their requests.
//!
//! The rules are those of libcni 1.3 (`libcni/conf.go`), so that what runs here runs under
//! a container runtime, and what is refused there is refused here.

use common::version::{self, Version};
use serde_json::{Map, Value};

use crate::runner::{self, Error, names};

/// What parsing gives: or a sentence about what is wrong, without the file.
type Result<T> = runner::Result<T, String>;

/// A parsed and valid configuration list.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The name of the network.
    pub name: String,
    /// The `cniVersion` that goes to every plugin, as written; empty if the list has none.
    pub cni_version: String,
    /// `disableCheck`: CHECK calls no plugin.
    pub disable_check: bool,
    /// `disableGC`: GC calls no plugin.
    pub disable_gc: bool,
    /// `loadOnlyInlinedPlugins`: no plugins are read from the directory named for the network.
    pub only_inlined: bool,
    /// The chain, in the order of ADD.
    pub plugins: Vec<Plugin>,
    /// The list as it goes into the cache: the bytes of the file, or the list that was wrapped around them.
    pub bytes: Vec<u8>,
}

/// One plugin of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// The name of the binary.
    pub kind: String,
    /// The configuration as written.
    pub config: Map<String, Value>,
}

impl Network {
    /// The version's numbers; the error quotes it.
    pub fn version(&self) -> runner::Result<[u32; 3]> {
        numbers(&self.cni_version).map_err(|problem| Error::config(&self.name, problem))
    }

    /// Whether its version has what came with another one.
    pub fn has(&self, since: Version) -> runner::Result<bool> {
        Ok(Some(self.version()?) >= version::numbers(since.text()))
    }

    /// Reads a list (`.conflist`), which may come without plugins: they can be in files of their own.
    pub fn parse_list(bytes: &[u8]) -> Result<Self> {
        read_list(&object(bytes)?, bytes)
    }

    /// Reads the configuration of a single plugin (`.conf`, `.json`) and wraps a list around it.
    pub fn parse_single(bytes: &[u8]) -> Result<Self> {
        let config = object(bytes)?;
        let mut list = Map::new();
        for key in ["cniVersion", "name"] {
            let value = config.get(key).cloned();
            list.insert(key.into(), value.unwrap_or_else(|| "".into()));
        }
        list.insert("plugins".into(), Value::Array(vec![Value::Object(config)]));
        let bytes = Value::Object(list.clone()).to_string().into_bytes();
        read_list(&list, &bytes)
    }
}

impl Plugin {
    /// Reads the configuration of one plugin from a file of its own.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::new(object(bytes)?)
    }

    /// Whether the configuration says that the plugin wants this capability.
    pub fn has_capability(&self, name: &str) -> bool {
        let declared = self.config.get("capabilities").and_then(Value::as_object);
        declared.and_then(|c| c.get(name)) == Some(&Value::Bool(true))
    }

    fn new(config: Map<String, Value>) -> Result<Self> {
        let kind = match config.get("type") {
            Some(Value::String(kind)) if !kind.is_empty() => kind.clone(),
            Some(other) if !other.is_null() => {
                return Err(format!("invalid type {other} of a plugin"));
            }
            _ => return Err("a plugin has no \"type\"".into()),
        };
        if kind.contains('/') {
            return Err(format!("plugin type {kind:?} contains '/'"));
        }
        match config.get("capabilities") {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) if map.values().all(Value::is_boolean) => {}
            Some(other) => {
                return Err(format!(
                    "plugin {kind}: capabilities must be true or false each: {other}"
                ));
            }
        }
        Ok(Self { kind, config })
    }
}

/// The numbers of `1`, `1.0` or `1.0.0`. The empty string means 0.1.0, as in the specification.
///
/// # Errors
/// A sentence that quotes anything else.
pub fn numbers(version: &str) -> Result<[u32; 3]> {
    match version {
        "" => Ok([0, 1, 0]),
        text => version::numbers(text).ok_or_else(|| format!("invalid version {text:?}")),
    }
}

/// Whether the document is a list rather than the configuration of a single plugin.
pub fn is_list(bytes: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(map)) => map.contains_key("plugins") || !map.contains_key("type"),
        _ => true,
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("is not a JSON object".into()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

fn read_list(list: &Map<String, Value>, bytes: &[u8]) -> Result<Network> {
    let name = text(list, "name")?.ok_or("has no \"name\"")?;
    names::check("network name", name).map_err(|error| error.to_string())?;
    let only_inlined = flag(list, "loadOnlyInlinedPlugins")?;
    Ok(Network {
        name: name.to_owned(),
        cni_version: choose_version(list)?,
        disable_check: flag(list, "disableCheck")?,
        disable_gc: flag(list, "disableGC")?,
        only_inlined,
        plugins: read_plugins(list, only_inlined)?,
        bytes: bytes.to_vec(),
    })
}

/// The newest of `cniVersion` and `cniVersions` that the runner speaks.
fn choose_version(list: &Map<String, Value>) -> Result<String> {
    let declared = text(list, "cniVersion")?.unwrap_or_default();
    let listed = match list.get("cniVersions") {
        None | Some(Value::Null) => return Ok(declared.to_owned()),
        Some(Value::Array(versions)) => versions,
        Some(other) => return Err(format!("cniVersions is not a list: {other}")),
    };
    let mut candidates = Vec::new();
    for version in listed {
        let version = version
            .as_str()
            .ok_or_else(|| format!("cniVersions holds {version}, which is not a string"))?;
        let known = numbers(version).map_err(|e| format!("cniVersions: {e}"))?;
        candidates.push((known, version));
    }
    if !declared.is_empty() {
        let known = numbers(declared).map_err(|e| format!("cniVersion: {e}"))?;
        candidates.push((known, declared));
    }
    let ours = numbers(Version::V110.text())?;
    let spoken = candidates.into_iter().filter(|(known, _)| *known <= ours);
    let newest = spoken.max_by_key(|(known, _)| *known);
    Ok(newest.map_or(declared, |(_, text)| text).to_owned())
}

fn read_plugins(list: &Map<String, Value>, only_inlined: bool) -> Result<Vec<Plugin>> {
    match list.get("plugins") {
        None if only_inlined => {
            Err("loadOnlyInlinedPlugins is true, but there are no \"plugins\"".into())
        }
        None => Ok(Vec::new()),
        Some(Value::Array(plugins)) if plugins.is_empty() => Err("\"plugins\" is empty".into()),
        Some(Value::Array(plugins)) => {
            let read = |(i, plugin): (usize, &Value)| match plugin {
                Value::Object(config) => {
                    Plugin::new(config.clone()).map_err(|e| format!("plugins[{i}]: {e}"))
                }
                other => Err(format!("plugins[{i}] is not an object: {other}")),
            };
            plugins.iter().enumerate().map(read).collect()
        }
        Some(other) => Err(format!("\"plugins\" is not a list: {other}")),
    }
}

fn text<'a>(list: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>> {
    match list.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key} is not a string: {other}")),
    }
}

/// A boolean, which may also be written as the string `"true"` or `"false"` in any case.
fn flag(list: &Map<String, Value>, key: &str) -> Result<bool> {
    match list.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(other) => Err(format!("{key} is neither true nor false: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(json: &str) -> Result<Network> {
        Network::parse_list(json.as_bytes())
    }

    #[test]
    fn versions_are_read_as_libcni_reads_them() {
        let good = [
            ("", [0, 1, 0]),
            ("1", [1, 0, 0]),
            ("0.4", [0, 4, 0]),
            ("1.1.0", [1, 1, 0]),
        ];
        for (text, version) in good {
            assert_eq!(numbers(text), Ok(version), "{text:?}");
        }
        for bad in ["x", "1.", "1.0.0.0", "1.0.0-rc1", "-1.0.0", " 1.0.0"] {
            assert_eq!(numbers(bad), Err(format!("invalid version {bad:?}")));
        }
    }

    #[test]
    fn the_newest_version_that_we_speak_is_chosen() {
        let table = [
            (r#""cniVersion":"0.4.0""#, "0.4.0"),
            (r#""cniVersion":"9.9.9""#, "9.9.9"),
            (r#""cniVersion":null"#, ""),
            (r#""cniVersions":["0.4.0","1.0.0"]"#, "1.0.0"),
            (
                r#""cniVersion":"0.4.0","cniVersions":["0.3.1","1.1.0","9.0.0"]"#,
                "1.1.0",
            ),
            (r#""cniVersion":"1.0.0","cniVersions":["0.3.1"]"#, "1.0.0"),
            (r#""cniVersion":"9.0.0","cniVersions":["9.1.0"]"#, "9.0.0"),
        ];
        for (versions, expected) in table {
            let network = list(&format!(
                r#"{{"name":"n",{versions},"plugins":[{{"type":"a"}}]}}"#
            ))
            .unwrap();
            assert_eq!(network.cni_version, expected, "{versions}");
        }
    }

    #[test]
    fn flags_may_be_strings() {
        let network =
            list(r#"{"name":"n","disableCheck":"True","disableGC":true,"plugins":[{"type":"a"}]}"#)
                .unwrap();
        assert!(network.disable_check && network.disable_gc && !network.only_inlined);
    }

    #[test]
    fn a_list_that_cannot_be_used_is_refused_with_its_reason() {
        let table = [
            ("[]", "is not a JSON object"),
            ("{", "is not JSON"),
            (r#"{"plugins":[{"type":"a"}]}"#, "has no \"name\""),
            (
                r#"{"name":7,"plugins":[{"type":"a"}]}"#,
                "name is not a string: 7",
            ),
            (
                r#"{"name":"a/b","plugins":[{"type":"a"}]}"#,
                "network name \"a/b\"",
            ),
            (r#"{"name":"n","plugins":[]}"#, "\"plugins\" is empty"),
            (r#"{"name":"n","plugins":{}}"#, "\"plugins\" is not a list"),
            (
                r#"{"name":"n","plugins":[null]}"#,
                "plugins[0] is not an object",
            ),
            (
                r#"{"name":"n","plugins":[{"type":"a"},{}]}"#,
                "plugins[1]: a plugin has no \"type\"",
            ),
            (
                r#"{"name":"n","plugins":[{"type":"../a"}]}"#,
                "contains '/'",
            ),
            (
                r#"{"name":"n","plugins":[{"type":"a","capabilities":["mac"]}]}"#,
                "capabilities must be",
            ),
            (
                r#"{"name":"n","cniVersions":"1.0.0","plugins":[{"type":"a"}]}"#,
                "cniVersions is not a list",
            ),
            (
                r#"{"name":"n","cniVersions":[1],"plugins":[{"type":"a"}]}"#,
                "cniVersions holds 1",
            ),
            (
                r#"{"name":"n","cniVersions":["x"],"plugins":[{"type":"a"}]}"#,
                "invalid version \"x\"",
            ),
            (
                r#"{"name":"n","disableGC":1,"plugins":[{"type":"a"}]}"#,
                "disableGC is neither true nor false",
            ),
            (
                r#"{"name":"n","loadOnlyInlinedPlugins":true}"#,
                "loadOnlyInlinedPlugins is true",
            ),
        ];
        for (json, problem) in table {
            let error = list(json).unwrap_err();
            assert!(error.contains(problem), "{json}: {error}");
        }
    }

    #[test]
    fn a_single_configuration_becomes_a_list_of_one() {
        let network =
            Network::parse_single(br#"{"cniVersion":"0.4.0","name":"n","type":"a","mtu":9}"#)
                .unwrap();
        assert_eq!(
            (network.name.as_str(), network.cni_version.as_str()),
            ("n", "0.4.0")
        );
        assert_eq!(
            String::from_utf8(network.bytes).unwrap(),
            r#"{"cniVersion":"0.4.0","name":"n","plugins":[{"cniVersion":"0.4.0","name":"n","type":"a","mtu":9}]}"#
        );
        assert_eq!(network.plugins.len(), 1);
    }

    #[test]
    fn a_document_with_a_type_and_no_plugins_is_no_list() {
        assert!(is_list(br#"{"name":"n","plugins":[]}"#));
        assert!(is_list(br#"{"name":"n"}"#));
        assert!(!is_list(br#"{"name":"n","type":"a"}"#));
    }
}
