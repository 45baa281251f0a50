//! What is wrong with a configuration.

use common::Error;
use common::json::Json;

use super::{DONE, FAILED, document, object, print};
use crate::cli::node::Lint;
use crate::lint;
use crate::lint::document::Finding;

pub fn run(args: &Lint) -> Result<u8, Error> {
    let findings = lint::path(&args.path)?;
    let text = match args.json {
        true => document([("findings", Json::Array(findings.iter().map(json).collect()))]),
        false => findings
            .iter()
            .map(|finding| format!("{finding}\n"))
            .collect(),
    };
    print(&text)?;
    Ok(if findings.is_empty() { DONE } else { FAILED })
}

fn json(finding: &Finding) -> Json {
    let number = |number: usize| Json::from(i64::try_from(number).unwrap_or(i64::MAX));
    object([
        ("file", finding.file.as_str().into()),
        ("line", number(finding.place.line)),
        ("column", number(finding.place.column)),
        ("severity", finding.severity.name().into()),
        ("message", finding.text.as_str().into()),
        ("write", finding.write.as_str().into()),
    ])
}
