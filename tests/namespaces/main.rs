//! Everything that is tested in the kernel: each test makes its own namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, not their helpers"
)]

mod answer;
mod attached;
mod bandwidth;
mod chain;
mod declared;
mod docs;
mod examples;
mod faults;
mod logs;
mod numbers;
mod operators;
mod portmap;
mod properties;
mod protocol;
mod recording;
mod soak;
mod tuning;
