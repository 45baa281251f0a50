//! Plugins in files of their own: `DIR/NETWORK/*.conf` beside a list of that name, which libcni appends to
//! the list's own (spec 1.1.0, `loadOnlyInlinedPlugins`).

use std::cmp::Reverse;
use std::path::Path;

use common::Error;
use common::attachment::is_valid_name;
use common::json::Json;
use common::version::Version;

use super::capability;
use super::document::{Document, Finding};
use super::list::name_of;
use super::part::{self, Part};
use super::read;
use crate::finding::Severity;
use crate::runner::conf_dir::files;
use crate::runner::network::Plugin;

/// What is wrong with the files of a list's folder, and with the list for lack of them.
///
/// # Errors
/// What cannot be read.
pub fn findings(list: &Path, bytes: &[u8]) -> Result<Vec<Finding>, Error> {
    let Ok(document) = Document::read(list, bytes) else {
        return Ok(Vec::new());
    };
    let root = document.root();
    let is_list = matches!(root.json, Json::Object(_)) && root.get("type").is_none();
    let name = root.get("name");
    let name = name.as_ref().and_then(|name| name.text());
    let Some(name) = name.filter(|name| is_list && is_valid_name(name)) else {
        return Ok(Vec::new());
    };
    let folder = list.parent().unwrap_or(Path::new("")).join(name);
    let files = files(&folder, &["conf"])?.unwrap_or_default();
    let only_inlined = root.get("loadOnlyInlinedPlugins");
    let is_true = |json: &Json| match json {
        Json::Bool(on) => *on,
        Json::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    if let Some(at) = only_inlined.filter(|at| is_true(at.json)) {
        let text = format!("the plugins in {} are not read", folder.display());
        let unread = document.finding(Severity::Warning, &at, text, "it false, or move them");
        return Ok((!files.is_empty()).then_some(unread).into_iter().collect());
    }
    if files.is_empty() && root.get("plugins").is_none() {
        let text = format!("no plugins here, and none in {}", folder.display());
        let write = "\"plugins\": [{…}]";
        return Ok(vec![document.finding(Severity::Error, &root, text, write)]);
    }
    let version = root.get("cniVersion");
    let version = version.and_then(|at| Version::from_text(at.text()?));
    let network = (name, version.unwrap_or(Version::V110));
    let mut found = Vec::new();
    for file in files {
        found.extend(of_part(&file, &read(&file)?, network));
    }
    Ok(found)
}

fn of_part(file: &Path, bytes: &[u8], network: (&str, Version)) -> Vec<Finding> {
    let document = match Document::read(file, bytes) {
        Ok(document) => document,
        Err(broken) => return vec![broken],
    };
    let node = document.root();
    let mut found = Vec::new();
    if let Err(problem) = Plugin::parse(bytes) {
        let at = node.named(&problem);
        found.push(document.finding(Severity::Error, &at, problem, ""));
        return found;
    }
    found.extend(name_of(&document, &node));
    if let Some(plugin) = part::plugin(&node) {
        let part = Part {
            document: &document,
            node,
            plugin,
            network,
        };
        found.extend(part.findings());
        found.extend(capability::findings(&part));
    }
    found.sort_by_key(|found| (found.place, Reverse(found.severity)));
    found
}
