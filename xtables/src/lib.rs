//! Rules of iptables as data: in words, by their meaning, and in the kernel's bytes, read and written in both
//! of its variants.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`words`] | quoting |
//! | [`meaning`] | what a rule means, so that two spellings can be compared |
//! | [`state`] | tables as iptables prints them |
//! | [`transaction`] | changes, as `iptables-restore` takes them |
//! | [`mod@raw`] | rules in the kernel's own bytes, which need no words |
//! | [`xt`] | matches and targets, which both variants have in the same bytes |
//! | [`nf_tables`] | the variant in nf_tables: what is there, and changes as commands of a batch |
//! | [`legacy`] | the legacy variant: what is there, and removal by place |

pub mod legacy;
pub mod meaning;
pub mod nf_tables;
pub mod raw;
pub mod state;
mod table;
pub mod transaction;
pub mod words;
pub mod xt;

pub use table::{Table, Variant};
