//! `explain`: why a host port does not answer.

use common::Error;
use serde_json::json;

use super::{DONE, FAILED, document, note, print};
use crate::cli::node::Explain;
use crate::explain::{CACHE, Question, explain};
use crate::finding::{self, Finding, Severity, text};
use crate::table::Page;

pub fn run(args: &Explain) -> Result<u8, Error> {
    let cache = super::cache(&args.shown.cache_dir)?;
    let question = Question {
        port: &args.port,
        from: args.from,
        may_probe: args.probe,
    };
    let findings = explain(&question, &cache)?;
    print(&match args.shown.json {
        true => document(json!({"findings": finding::json(&findings)})),
        false => text(&findings, Page::stdout()),
    })?;
    let is_broken = |finding: &&Finding| finding.severity == Severity::Error;
    let broken = findings.iter().filter(is_broken);
    // A station is the answer, whatever file of the cache could not be read.
    Ok(match broken.min_by_key(|finding| finding.object == CACHE) {
        None => DONE,
        Some(Finding { object, .. }) => {
            if !args.shown.json {
                note(&format!("cnictl: broken at {object}"));
            }
            FAILED
        }
    })
}
