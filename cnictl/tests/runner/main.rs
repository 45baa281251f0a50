//! The runner as a process, with recorded, scripted and real plugins.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cache;
mod captures;
mod chain;
mod networks;
mod recorder;
mod veth;
