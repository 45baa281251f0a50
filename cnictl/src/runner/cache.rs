//! libcni's cache of attachments, as the runner keeps it: in libcni's format and place.
//!
//! The format is described and read in [`common::cache`].

use std::path::PathBuf;

use common::decode::Object;
use common::json::Json;
use common::sys::file;
use common::version::Version;
use common::{CniResult, base64, cache};
use serde_json::{Map, Value, json};

use crate::runner::{Attachment, Error, Network, Result};

/// The cache below one directory.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// What the cache knows of one attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
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
    pub fn file(&self, network: &Network, on: &Attachment) -> PathBuf {
        self.results().join(file_name(network, on))
    }

    /// Remembers the result of ADD. The file is there whole or not at all.
    pub fn write(&self, network: &Network, on: &Attachment, result: &Value) -> Result<()> {
        let name = file_name(network, on);
        let text = document(network, on, result).to_string();
        Ok(file::write_whole(&self.results(), &name, text.as_bytes())?)
    }

    /// What is known of the attachment; `None` if there is no file.
    ///
    /// A file of an earlier libcni holds the result alone; then nothing else is known.
    pub fn read(&self, network: &Network, on: &Attachment) -> Result<Option<Entry>> {
        let file = self.file(network, on);
        let Some(bytes) = file::read(&file)? else {
            return Ok(None);
        };
        let unsound = |why: String| Error::config(file.display(), why);
        let parsed = cache::Entry::parse(&file, &bytes);
        if let Some(entry) = parsed.map_err(|error| unsound(error.to_string()))? {
            return known(entry).map(Some);
        }
        let result: Value = serde_json::from_slice(&bytes)
            .map_err(|error| unsound(format!("is not JSON: {error}")))?;
        Ok(Some(Entry {
            attachment: Attachment {
                container: on.container.clone(),
                ifname: on.ifname.clone(),
                ..Attachment::default()
            },
            result: Some(result),
        }))
    }

    /// Forgets the attachment; success if it is unknown.
    pub fn remove(&self, network: &Network, on: &Attachment) -> Result<()> {
        Ok(file::remove(&self.file(network, on))?)
    }

    /// The attachments of one network, in the order of their files, and what could not be read: it may
    /// be more of them. Files of other kinds are left out.
    pub fn attachments(&self, network: &str) -> Result<(Vec<Entry>, Vec<Error>)> {
        let cache = cache::Cache::read(&self.dir)?;
        let entries = cache.entries.into_iter();
        let entries = entries
            .filter(|entry| entry.attachment.network == network)
            .map(known)
            .collect::<Result<Vec<Entry>>>()?;
        let faults = cache.faults.into_iter().map(Error::from);
        Ok((entries, faults.collect()))
    }

    fn results(&self) -> PathBuf {
        self.dir.join("results")
    }
}

fn file_name(network: &Network, on: &Attachment) -> String {
    format!("{}-{}-{}", network.name, on.container, on.ifname)
}

fn document(network: &Network, on: &Attachment, result: &Value) -> Value {
    let mut document = Map::new();
    document.insert("kind".into(), cache::KIND.into());
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

fn known(entry: cache::Entry) -> Result<Entry> {
    let cache::Entry {
        file,
        attachment,
        netns,
        args,
        capabilities,
        config: _,
        result,
    } = entry;
    let value =
        |json: &Json| serde_json::to_value(json).map_err(|e| Error::config(file.display(), e));
    let capabilities = match value(&Json::Object(capabilities))? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Ok(Entry {
        attachment: Attachment {
            container: attachment.container,
            netns,
            ifname: attachment.ifname,
            args,
            capabilities,
        },
        result: result.as_ref().map(value).transpose()?,
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
