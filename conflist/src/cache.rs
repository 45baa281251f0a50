//! libcni's cache of attachments: one file each, in libcni's format and place.
//!
//! ```text
//! <cache dir>/results/<network>-<container>-<ifname>
//! {"kind":"cniCacheV1","containerId":…,"config":<base64 of the list>,"ifName":…,"networkName":…,
//!  "netns":…,"cniArgs":[["K","V"],…],"capabilityArgs":{…},"result":{…}}
//! ```
//!
//! The last four are left out when empty (libcni 1.3, `libcni/api.go`, `cachedInfo`).

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use common::CniResult;
use common::decode::Object;
use common::json::Json;
use common::sys::file;
use common::version::Version;
use serde_json::{Map, Value, json};

use crate::{Attachment, Error, Network, Result, base64};

/// libcni's place.
pub const DEFAULT_DIR: &str = "/var/lib/cni";

const KIND: &str = "cniCacheV1";

/// The cache below one directory.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// What the cache knows of one attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name of the network.
    pub network: String,
    /// The attachment as it was given to ADD.
    pub attachment: Attachment,
    /// The result of ADD.
    pub result: Option<Value>,
}

impl Cache {
    /// The cache in this directory, which need not exist.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The file of one attachment.
    pub fn file(&self, network: &str, container: &str, ifname: &str) -> PathBuf {
        self.results().join(file_name(network, container, ifname))
    }

    /// Remembers the result of ADD. The file is there whole or not at all.
    pub fn write(&self, network: &Network, on: &Attachment, result: &Value) -> Result<()> {
        let name = file_name(&network.name, &on.container, &on.ifname);
        let text = document(network, on, result).to_string();
        Ok(file::write_whole(&self.results(), &name, text.as_bytes())?)
    }

    /// What is known of the attachment; `None` if there is no file.
    ///
    /// A file of an earlier libcni holds the result alone; then nothing else is known.
    pub fn read(&self, network: &str, container: &str, ifname: &str) -> Result<Option<Entry>> {
        let file = self.file(network, container, ifname);
        let Some(bytes) = file::read(&file)? else {
            return Ok(None);
        };
        let document: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Error::config(file.display().to_string(), format!("is not JSON: {error}"))
        })?;
        Ok(Some(entry(&document).unwrap_or_else(|| Entry {
            network: network.to_owned(),
            attachment: Attachment {
                container: container.to_owned(),
                ifname: ifname.to_owned(),
                ..Attachment::default()
            },
            result: Some(document),
        })))
    }

    /// Forgets the attachment; not to know it is no failure.
    pub fn remove(&self, network: &str, container: &str, ifname: &str) -> Result<()> {
        Ok(file::remove(&self.file(network, container, ifname))?)
    }

    /// The attachments of one network, in the order of their files. Files of other kinds are left out.
    pub fn attachments(&self, network: &str) -> Result<Vec<Entry>> {
        let results = self.results();
        let entries = match fs::read_dir(&results) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &results, error)),
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        files.sort();
        let read = |file: &PathBuf| entry(&serde_json::from_slice(&fs::read(file).ok()?).ok()?);
        Ok(files
            .iter()
            .filter_map(read)
            .filter(|entry| entry.network == network)
            .collect())
    }

    fn results(&self) -> PathBuf {
        self.dir.join("results")
    }
}

fn file_name(network: &str, container: &str, ifname: &str) -> String {
    format!("{network}-{container}-{ifname}")
}

fn document(network: &Network, on: &Attachment, result: &Value) -> Value {
    let mut document = Map::new();
    document.insert("kind".into(), KIND.into());
    document.insert("containerId".into(), json!(on.container));
    document.insert("config".into(), base64::encode(&network.bytes).into());
    document.insert("ifName".into(), json!(on.ifname));
    document.insert("networkName".into(), json!(network.name));
    if !on.netns.is_empty() {
        document.insert("netns".into(), json!(on.netns));
    }
    if !on.args.is_empty() {
        document.insert("cniArgs".into(), json!(on.args));
    }
    if !on.capabilities.is_empty() {
        document.insert("capabilityArgs".into(), json!(on.capabilities));
    }
    if result.as_object().is_some_and(|result| !result.is_empty()) {
        document.insert("result".into(), result.clone());
    }
    Value::Object(document)
}

/// Reads a document of our kind; `None` for any other.
fn entry(document: &Value) -> Option<Entry> {
    let text = |key: &str| {
        document
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if text("kind") != KIND {
        return None;
    }
    let pairs = document
        .get("cniArgs")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let pair = |pair: &Value| {
        Some((
            pair.get(0)?.as_str()?.to_owned(),
            pair.get(1)?.as_str()?.to_owned(),
        ))
    };
    let attachment = Attachment {
        container: text("containerId"),
        netns: text("netns"),
        ifname: text("ifName"),
        args: pairs.iter().filter_map(pair).collect(),
        capabilities: document
            .get("capabilityArgs")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    };
    let result = document
        .get("result")
        .filter(|result| result.is_object())
        .cloned();
    Some(Entry {
        network: text("networkName"),
        attachment,
        result,
    })
}

/// A remembered result in the version that the configuration has now.
///
/// Results of the same version stay as the plugin wrote them.
pub fn in_version(result: Value, cni_version: &str) -> std::result::Result<Value, String> {
    let is = result
        .get("cniVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if is == cni_version {
        return Ok(result);
    }
    let cannot = |why: String| {
        format!("cached result of cniVersion {is:?}, wanted in {cni_version:?}: {why}")
    };
    let (Some(from), Some(to)) = (known_version(is), known_version(cni_version)) else {
        return Err(cannot("unknown version".into()));
    };
    let Json::Object(fields) = Json::parse(result.to_string().as_bytes()).map_err(cannot)? else {
        return Err(cannot("not an object".into()));
    };
    let converted =
        CniResult::parse(Object::root(&fields), from).map_err(|error| cannot(error.to_string()))?;
    serde_json::from_str(&converted.to_json(to).to_string())
        .map_err(|error| cannot(error.to_string()))
}

/// No version at all means the first.
fn known_version(text: &str) -> Option<Version> {
    if text.is_empty() {
        Some(Version::V010)
    } else {
        Version::from_text(text)
    }
}
