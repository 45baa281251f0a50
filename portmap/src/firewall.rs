//! The rules that the node's packets meet, of whoever made them, in the words of iptables: nf_tables with
//! iptables-nft's, and the legacy tables. For the tool for people.
//!
//! What only the kernel or a program understands is a match or a target whose name begins with `?`.

mod legacy;
mod lookup;
mod nft;

use std::path::PathBuf;

use common::{Error, Family};

use xtables::meaning::Meaning;
pub use xtables::meaning::{sets_mark, tests_nothing};

use crate::iptables::{self, usual_variant};
use crate::nftables::{layout, reference};
use crate::program;

/// The chain that leads to those of attachments, in both variants of iptables.
pub const OURS: &str = iptables::DNAT;
/// The tables of the nftables backends: ours, and the reference's.
pub const OUR_TABLES: [&str; 2] = [layout::TABLE, reference::TABLE];
/// The chains that keep neighbours from services on 127.0.0.1, of either backend.
pub const GUARDS: [&str; 2] = [iptables::GUARD, layout::GUARD];

/// Where the kernel calls chains (`enum nf_inet_hooks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// What comes in.
    Prerouting,
    /// What is for this node.
    Input,
    /// What goes through.
    Forward,
    /// What this node sends.
    Output,
    /// What goes out.
    Postrouting,
}

impl Hook {
    const ALL: [Hook; 5] = [
        Hook::Prerouting,
        Hook::Input,
        Hook::Forward,
        Hook::Output,
        Hook::Postrouting,
    ];

    fn of_number(number: u32) -> Option<Hook> {
        Hook::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// As iptables calls its chain there.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Prerouting => "PREROUTING",
            Hook::Input => "INPUT",
            Hook::Forward => "FORWARD",
            Hook::Output => "OUTPUT",
            Hook::Postrouting => "POSTROUTING",
        }
    }
}

/// Where and how the kernel calls a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// Where.
    pub hook: Hook,
    /// The order among those of a hook.
    pub priority: i32,
    /// Whether it translates addresses: only the first packet of a connection comes there.
    pub is_nat: bool,
    /// Whether it drops what no rule decides.
    pub drops: bool,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its table, for people: `ip filter`, or `filter (legacy)`.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where the kernel calls it; `None` for one that only others lead to.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// As iptables would print it.
    pub words: String,
    /// Each match: its name, then its options.
    pub matches: Vec<Vec<String>>,
    /// The target: its name (`goto` before that of a chain), then its options; may be empty.
    pub target: Vec<String>,
}

impl Rule {
    /// That of words.
    pub fn of(words: String) -> Rule {
        let Meaning {
            matches, target, ..
        } = Meaning::of(&words);
        Rule {
            words,
            matches,
            target,
        }
    }
}

/// Every chain of the calling thread's namespace that packets of an IP version can meet, and what could
/// not be read.
pub fn chains(family: Family) -> (Vec<Chain>, Vec<Error>) {
    let (mut chains, mut errors) = (Vec::new(), Vec::new());
    for read in [nft::chains(family), legacy::chains(family)] {
        match read {
            Ok(some) => chains.extend(some),
            Err(error) => errors.push(error),
        }
    }
    (chains, errors)
}

/// The tables of nf_tables of an IP version that are dormant, such as `ip nat`: no packet meets their rules.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn dormant(family: Family) -> Result<Vec<String>, Error> {
    nft::dormant(family)
}

/// The node's own `iptables`: where it is, and its variant where its file says that.
///
/// # Errors
/// Code 100 when that cannot be found out.
pub fn iptables() -> Result<Option<(PathBuf, Option<&'static str>)>, Error> {
    let Some(path) = program::find("iptables-restore")? else {
        return Ok(None);
    };
    Ok(Some((path, usual_variant(Family::V4)?)))
}
