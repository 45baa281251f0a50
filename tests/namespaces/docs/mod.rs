//! Every example in the documentation is run, and every key, command and option in it exists.
//!
//! | block | what is done with it |
//! | --- | --- |
//! | `console`, or no language | a session: lines that begin with `# ` are commands, the lines after each are what it prints; without any, or with `…` alone, it must succeed |
//! | `sh` | lines that must succeed |
//! | `json` | a configuration list, or one plugin of one: STATUS, ADD, CHECK and DEL must succeed |
//! | … `file=PATH` | is written there first |
//! | … `no-run: REASON` | is not run; what it names must exist, and [`places::REASONS`] has the reason |
//!
//! In what is printed, `…` stands for any text of one line, alone on a line for any number of lines,
//! and a run of blanks for one. A document's sessions run one after another on one node; the remarks
//! `<!-- a fresh node -->`, `<!-- a fresh node with the reference -->` and `<!-- a bare node -->` begin
//! another.

mod examples;
mod house;
mod keys;
mod man;
mod markdown;
mod output;
pub mod places;
mod references;
mod schema;
mod session;
mod wording;
