//! `doctor`: what is wrong with this node.

use common::Error;
use serde_json::json;

use super::{DONE, FAILED, document, print};
use crate::cli::node::Doctor;
use crate::doctor::{Places, examine};
use crate::finding::{self, Severity, text};
use crate::runner::setup;
use crate::table::Page;

pub fn run(args: &Doctor) -> Result<u8, Error> {
    let findings = examine(&Places {
        cache: args.shown.cache_dir.clone(),
        configurations: setup::configurations(args.conf_dir.as_ref()),
        plugins: setup::plugins(args.path.as_ref()),
    });
    print(&match args.shown.json {
        true => document(json!({"findings": finding::json(&findings)})),
        false => text(&findings, Page::stdout()),
    })?;
    let is_error = |found: &finding::Finding| found.severity == Severity::Error;
    Ok(match findings.iter().any(is_error) {
        true => FAILED,
        false => DONE,
    })
}
