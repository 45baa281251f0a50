//! nf_tables as the kernel speaks it, over netlink.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`uapi`] | the kernel's numbers |
//! | [`expr`], [`object`] | expressions, rules, chains, sets, elements and tables, typed |
//! | [`parts`] | expressions that belong together |
//! | [`compiled`] | a rule as nft compiled it, whole |
//! | [`command`] | one change |
//! | [`socket`] | questions, and a batch of changes under its generation |
//! | [`transaction`] | look, decide, commit: again as long as others are faster |

pub mod command;
pub mod compiled;
pub mod expr;
pub mod intervals;
pub mod object;
pub mod parts;
pub mod socket;
pub mod transaction;
pub mod uapi;
