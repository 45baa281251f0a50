//! ADD meets every failure there can be, one at a time: the node is as before, or the error says what
//! could not be taken back, and DEL leaves nothing. The other verbs and the operators' commands meet
//! them, too ([`verbs`]): a success is one. strace makes system calls fail; programs in
//! front of the real ones make those fail. A full disk and a read-only one: `tuning::data_dir`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod attachment;
mod held;
mod inject;
mod killed;
mod lasting;
mod link;
mod node;
mod overrun;
mod programs;
mod racing;
mod subjects;
mod tool;
mod trial;
mod verbs;

pub use attachment::{Attachment, End};
pub use held::{held_at, held_before, held_when, until_it_waits};
pub use inject::{injected, killed_at_each};
