//! What is invalid in a command line is quoted, and may be as long as the kernel lets arguments be.

use clap::error::{ContextKind, ContextValue};
use common::error::{QUOTED, short};

/// The error with short quotes.
pub fn bounded(mut error: clap::Error) -> clap::Error {
    let shorter = |(kind, value): (ContextKind, &ContextValue)| Some((kind, shorter(value)?));
    let long: Vec<(ContextKind, ContextValue)> = error.context().filter_map(shorter).collect();
    if !long.is_empty() {
        // It may quote them, too.
        error.remove(ContextKind::Suggested);
    }
    for (kind, value) in long {
        error.insert(kind, value);
    }
    error
}

fn shorter(value: &ContextValue) -> Option<ContextValue> {
    match value {
        ContextValue::String(text) if text.len() > QUOTED => {
            Some(ContextValue::String(short(text).into_owned()))
        }
        ContextValue::Strings(all) if all.iter().any(|text| text.len() > QUOTED) => {
            let all = all.iter().map(|text| short(text).into_owned());
            Some(ContextValue::Strings(all.collect()))
        }
        _ => None,
    }
}
