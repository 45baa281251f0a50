//! Links lead somewhere, and tests that are named are there.

use std::fs;
use std::path::Path;

use super::markdown::{Document, document, documents, root};

/// docs/compatibility.md says of each difference which test pins it, and docs/faults.md of each fault.
#[test]
fn tests_that_are_named_exist() {
    let mut sources = Vec::new();
    for directory in [
        "tests",
        "portmap/src",
        "tuning/src",
        "bandwidth/src",
        "cnictl",
        "common/src",
        "nft/src",
        "xtables/src",
    ] {
        read_all(&root().join(directory), &mut sources);
    }
    let exists = |name: &str| {
        let mut parts = name.rsplit("::").filter(|part| *part != "tests");
        let last = parts.next().unwrap_or_default();
        // Macros make the innermost module of some: `portmap::order::iptables_nft`.
        let modules: Vec<String> = parts.take(2).map(|part| format!("/{part}")).collect();
        let is_function = |text: &str| text.contains(&format!("fn {last}("));
        sources.iter().any(|(path, text)| {
            let is_its_module = modules.iter().any(|module| path.contains(module));
            is_its_module && is_function(text) || path.ends_with(&format!("/{last}.rs"))
        }) || sources
            .iter()
            .any(|(path, _)| path.ends_with(&format!("/{last}/mod.rs")))
    };
    for path in ["docs/compatibility.md", "docs/faults.md"] {
        let document = document(path);
        let spans = document.spans();
        let names = spans
            .iter()
            .filter(|span| span.contains("::") && !span.contains(' '));
        let missing: Vec<&&str> = names.filter(|name| !exists(name)).collect();
        assert!(missing.is_empty(), "{path}: {missing:#?}");
    }
}

/// Every source below a directory, with its path.
pub fn read_all(directory: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            into.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let all = documents();
    let mut faults = Vec::new();
    for document in &all {
        for target in links(document) {
            if !leads(document, &target, &all) {
                faults.push(format!("{}: {target}", document.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn links(document: &Document) -> Vec<String> {
    let lines = document.prose().into_iter();
    let targets = lines.flat_map(|(_, line)| line.split("](").skip(1).collect::<Vec<_>>());
    let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let inner = targets.filter(|target| !target.contains("://"));
    inner.map(str::to_owned).collect()
}

fn leads(from: &Document, target: &str, all: &[Document]) -> bool {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let directory = Path::new(&from.path).parent().unwrap();
    let file = match path {
        "" => root().join(&from.path),
        path => root().join(directory).join(path),
    };
    let Ok(file) = file.canonicalize() else {
        return false;
    };
    let same = |one: &&Document| {
        root()
            .join(&one.path)
            .canonicalize()
            .is_ok_and(|path| path == file)
    };
    anchor.is_empty()
        || all
            .iter()
            .find(same)
            .is_some_and(|one| has_heading(one, anchor))
}

/// Whether a heading has that anchor, as GitHub makes it.
fn has_heading(document: &Document, anchor: &str) -> bool {
    let lines = document.prose().into_iter();
    let headings = lines.filter_map(|(_, line)| line.strip_prefix('#'));
    let mut anchors = headings.map(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c })
            .collect::<String>()
    });
    anchors.any(|one| one == anchor)
}
