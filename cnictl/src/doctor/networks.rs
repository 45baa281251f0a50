//! The configurations of networks: which one a runtime takes, and whether its plugins can serve it.

use std::collections::BTreeSet;
use std::path::Path;

use common::sys::file;
use common::version::Version;
use common::{Code, Context, Error, Operate as _};

use super::{Node, Places, found};
use crate::finding::{Finding, some};
use crate::lint::document::{self, Document};
use crate::lint::{self, list, part};
use crate::plugins::of;

const OBJECT: &str = "networks";

/// The files of the directory.
pub struct Networks {
    files: Vec<File>,
    /// The types of their plugins.
    pub types: BTreeSet<String>,
}

struct File {
    name: String,
    network: String,
    types: Vec<String>,
    faults: Vec<document::Finding>,
    /// What our plugins report of the node.
    outlook: Vec<Finding>,
}

impl Networks {
    /// Reads them.
    pub fn read(places: &Places, findings: &mut Vec<Finding>) -> Networks {
        let dir = &places.configurations;
        let tried = || format!("look at {}", dir.display());
        let paths = match dir.try_exists().context(Code::Io, tried) {
            Ok(false) => Ok(Vec::new()),
            Ok(true) => lint::files(dir),
            Err(error) => Err(error),
        };
        let paths = found(OBJECT, paths, findings).unwrap_or_default();
        let mut files = Vec::new();
        for path in paths {
            let bytes = file::read(&path).map(Option::unwrap_or_default);
            let object = path.display().to_string();
            if let Some(bytes) = found(&object, bytes, findings) {
                files.push(File::of(&path, &bytes));
            }
        }
        let types = files.iter().flat_map(|file| file.types.iter().cloned());
        Networks {
            types: types.collect(),
            files,
        }
    }

    /// The findings about them.
    pub fn findings(&self, node: &Node<'_>) -> Vec<Finding> {
        let dir = node.places.configurations.display();
        let mut files = self.files.iter().filter(|file| !file.types.is_empty());
        let mut findings = match files.next() {
            None => {
                let text = format!("{dir} has no network that a runtime could use");
                vec![Finding::warning(OBJECT, text)]
            }
            Some(first) => {
                let others: Vec<String> = files.map(|file| file.network.clone()).collect();
                let mut text = format!("a runtime uses {} ({})", first.network, first.name);
                if !others.is_empty() {
                    text.push_str(&format!(", not {}", some(&others)));
                }
                vec![Finding::ok(OBJECT, text)]
            }
        };
        for file in &self.files {
            findings.extend(file.findings(node));
        }
        findings
    }
}

impl File {
    fn of(path: &Path, bytes: &[u8]) -> File {
        let mut file = File {
            name: path.display().to_string(),
            network: String::new(),
            types: Vec::new(),
            faults: list::findings(path, bytes),
            outlook: Vec::new(),
        };
        let Ok(document) = Document::read(path, bytes) else {
            return file;
        };
        let root = document.root();
        let text = |key: &str| root.get(key).and_then(|node| node.text());
        let name = text("name").unwrap_or("?");
        let version = text("cniVersion").and_then(Version::from_text);
        let parts = match root.get("plugins") {
            Some(plugins) => plugins.items().collect(),
            None => vec![root.clone()],
        };
        for node in parts {
            let kind = node.get("type").and_then(|kind| kind.text());
            file.types.extend(kind.map(str::to_owned));
            if let Some(plugin) = part::plugin(&node) {
                let request = part::request(node.json, (name, version.unwrap_or(Version::V100)));
                let object = format!("{} of {name}", plugin.name());
                let outlook = of!(plugin, P => request.and_then(|request| {
                    let choice = P::choice(&request)?;
                    Ok((choice, P::hazard(&request)))
                }));
                file.outlook.extend(match outlook {
                    Ok((choice, hazard)) => outlook_of(&object, choice, hazard),
                    Err(error) => {
                        vec![Finding::error(object, format!("every ADD fails: {error}"))]
                    }
                });
            }
        }
        file.network = name.to_owned();
        file
    }

    fn findings(&self, node: &Node<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let lint = format!("cnictl lint {}", self.name);
        if let Some(fault) = self.faults.first() {
            let more = match self.faults.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let text = format!("{fault}{more}");
            let finding = Finding::new(fault.severity, OBJECT, text);
            findings.push(finding.run(lint));
        }
        let dirs = &node.places.plugins;
        let is_missing = |kind: &&String| !dirs.iter().any(|dir| dir.join(kind).is_file());
        let missing: Vec<String> = self.types.iter().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            let text = format!(
                "{} needs {}, which is not in {}: none of its pods can start",
                self.network,
                some(&missing),
                dirs.join(" or ")
            );
            let is_ours = |kind: &String| lint::ours().any(|plugin| plugin.name() == kind);
            let run = match (missing.iter().any(is_ours), dirs.first()) {
                (true, Some(dir)) => format!("cnictl install {dir}"),
                _ => String::new(),
            };
            findings.push(Finding::error(OBJECT, text).run(run));
        }
        findings.extend(self.outlook.iter().cloned());
        findings
    }
}

/// The way that a plugin takes, and what of it is hardly meant.
fn outlook_of(
    object: &str,
    choice: Option<String>,
    hazard: Result<Option<String>, Error>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = choice
        .into_iter()
        .map(|choice| Finding::ok(object, choice))
        .collect();
    let hazard = found(object, hazard, &mut findings).flatten();
    findings.extend(hazard.map(|hazard| Finding::warning(object, hazard)));
    findings
}
