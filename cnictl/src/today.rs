//! The networks' configurations of today, for attachments that were made with those of yesterday.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use common::cache::Entry;
use common::error::{Code, Context, Error};
use serde_json::{Value, json};

use crate::runner::Network;
use crate::runner::conf_dir;

/// Which configuration counts for each network.
#[derive(Debug, Default)]
pub struct Configs {
    /// Lists by the name of their network; none where the cache's count.
    lists: Option<HashMap<String, Vec<u8>>>,
    /// Files that cannot be used: each may be a network's.
    unusable: Vec<String>,
}

impl Configs {
    /// Those of a directory, if one is given, or else those of the cache.
    ///
    /// # Errors
    /// As [`Configs::of`].
    pub fn given(dir: Option<&Path>) -> Result<Configs, Error> {
        dir.map_or_else(|| Ok(Configs::default()), Configs::of)
    }

    /// Those of a directory, as runtimes read it. A network that is not there keeps what the cache has.
    ///
    /// # Errors
    /// Code 5 when there is no such directory, or it cannot be read.
    pub fn of(dir: &Path) -> Result<Configs, Error> {
        let look = || format!("look at --config-dir {}", dir.display());
        if !fs::metadata(dir).context(Code::Io, look)?.is_dir() {
            let msg = format!("--config-dir {} is not a directory", dir.display());
            return Err(Error::new(Code::Io, msg));
        }
        let found = conf_dir::all(dir).map_err(|error| Error::new(Code::Io, error.to_string()))?;
        let mut lists = HashMap::new();
        let mut unusable = Vec::new();
        for one in found {
            match one {
                // Of two lists of one name, runtimes take the first.
                Ok(network) => drop(lists.entry(network.name.clone()).or_insert(list(&network))),
                Err(error) => unusable.push(error.to_string()),
            }
        }
        Ok(Configs {
            lists: Some(lists),
            unusable,
        })
    }

    /// The configuration that counts for an attachment.
    ///
    /// # Errors
    /// Code 7 where it may be in a file that cannot be used.
    pub fn of_entry<'a>(&'a self, entry: &'a Entry) -> Result<Cow<'a, [u8]>, Error> {
        let Some(lists) = &self.lists else {
            return Ok(Cow::Borrowed(&entry.config));
        };
        let network = &entry.attachment.network;
        match lists.get(network) {
            Some(list) => Ok(Cow::Borrowed(list)),
            None if self.unusable.is_empty() => Ok(Cow::Borrowed(&entry.config)),
            None => {
                let msg = format!("find the configuration of network {network}");
                let files = self.unusable.join("; ");
                Err(Error::new(Code::InvalidConfig, msg).with_details(files))
            }
        }
    }

    /// Whether the cache's do not count.
    pub fn is_of_today(&self) -> bool {
        self.lists.is_some()
    }
}

/// A list with all its plugins, also those that have files of their own.
fn list(network: &Network) -> Vec<u8> {
    let plugins = network.plugins.iter();
    let plugins: Vec<Value> = plugins
        .map(|one| Value::Object(one.config.clone()))
        .collect();
    let list = json!({
        "cniVersion": network.cni_version, "name": network.name, "plugins": plugins,
    });
    list.to_string().into_bytes()
}
