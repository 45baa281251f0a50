//! `bandwidth` in the kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod again;
mod del;
mod drift;
mod failed_add;
mod faults;
mod gc;
mod hostile;
mod identity;
mod inside;
mod interop;
mod killed;
mod parallel;
mod peer;
pub mod pod;
mod result;
mod samples;
mod sharing;
mod status;
mod subnets;
mod throughput;
