//! What is wrong with a configuration.

use common::Error;
use serde_json::{Value, json};

use super::{DONE, FAILED, document, print};
use crate::cli::node::Lint;
use crate::lint;
use crate::lint::document::Finding;

pub fn run(args: &Lint) -> Result<u8, Error> {
    let findings = lint::path(&args.path)?;
    let text = match args.json {
        true => document(json!({"findings": findings.iter().map(json).collect::<Value>()})),
        false => findings
            .iter()
            .map(|finding| format!("{finding}\n"))
            .collect(),
    };
    print(&text)?;
    Ok(if findings.is_empty() { DONE } else { FAILED })
}

fn json(finding: &Finding) -> Value {
    json!({
        "file": finding.file, "line": finding.place.line, "column": finding.place.column,
        "severity": finding.severity.name(), "message": finding.text, "write": finding.write,
    })
}
