//! `cnictl lint`: what is wrong is found with its place, and nothing is found in what is right.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod configurations;
mod program;
mod schema;
mod wrong;

use std::path::Path;

use cnictl::lint::list::findings;

/// A part behind this begins in line 3, column 1.
const MAIN: &str =
    "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"plugins\": [\n{\"type\": \"ptp\"},\n";

/// A portmap that gets its ports.
const PORTS: &str = r#""type":"portmap","capabilities":{"portMappings":true}"#;

/// What is found, without the file's name.
fn found(file: &str, text: &str) -> Vec<String> {
    let line = |finding: &cnictl::lint::document::Finding| {
        let line = finding.to_string();
        line[file.len() + 1..].to_owned()
    };
    findings(Path::new(file), text.as_bytes())
        .iter()
        .map(line)
        .collect()
}

/// What is not as expected: each of `expected` is the beginning of one of the lines, and there are no
/// others.
fn fault(file: &str, text: &str, expected: &[&str]) -> Option<String> {
    let found = found(file, text);
    let mut pairs = found.iter().zip(expected);
    let same = found.len() == expected.len() && pairs.all(|(line, start)| line.starts_with(start));
    (!same).then(|| format!("{text}\nfound    {found:#?}\nexpected {expected:#?}"))
}

#[test]
fn what_is_wrong_is_found_with_its_place() {
    let parts = wrong::PARTS.iter().filter_map(|(part, expected)| {
        let text = format!("{MAIN}{}\n]}}", part.replace('@', PORTS));
        fault("a.conflist", &text, expected)
    });
    let files = wrong::FILES.iter();
    let files = files.filter_map(|(file, text, expected)| fault(file, text, expected));
    let faults: Vec<String> = parts.chain(files).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(wrong::PARTS.len() + wrong::FILES.len() >= 60);
}

#[test]
fn remarks_are_never_named() {
    for key in [
        "_comment",
        "_sysctl",
        "_mtuu",
        "_ingresRate",
        "_portMapping",
        "_",
    ] {
        let part = format!("{MAIN}{{\"type\":\"tuning\",\"mtu\":1400,\"{key}\":[\"x\"]}}]}}");
        assert_eq!(fault("a.conflist", &part, &[]), None, "{key}");
        let list = part.replacen('{', &format!("{{\"{key}\":1,"), 1);
        assert_eq!(fault("a.conflist", &list, &[]), None, "{key}");
        let capability = format!("{MAIN}{{{PORTS}}}]}}")
            .replace("{\"portM", &format!("{{\"{key}\":true,\"portM"));
        assert_eq!(fault("a.conflist", &capability, &[]), None, "{key}");
    }
}
