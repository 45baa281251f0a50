//! `tuning` in the kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod allowlist;
mod beside;
mod chain;
mod data_dir;
mod drift;
mod elsewhere;
mod failed_add;
mod gc;
mod hostile;
mod interop;
mod killed;
mod many;
mod offloads;
mod owners;
pub mod pod;
mod precedence;
mod restore;
mod result;
mod samples;
mod state;
mod status;
mod sysctls;
mod turn;
mod unseen;
mod without_namespace;
