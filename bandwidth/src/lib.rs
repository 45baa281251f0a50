//! `bandwidth`: limits what a container sends and receives.
//!
//! Every verb is parse → plan → observe → diff → apply. docs/bandwidth.md has the keys.

mod amount;
mod apply;
mod config;
mod diff;
#[cfg(fuzzing)]
pub mod fuzzed;
mod ifb;
mod keys;
pub mod list;
mod observe;
mod operate;
mod owner;
mod place;
mod plan;
mod remove;
mod scaled;
mod status;
mod subnets;
mod tbf;
mod tc;
mod undo;
mod verbs;

use std::process::ExitCode;

pub use scaled::scaled;
pub use verbs::Bandwidth;

/// Handles the request in this process's environment and on stdin.
pub fn main() -> ExitCode {
    common::run::<Bandwidth>()
}
