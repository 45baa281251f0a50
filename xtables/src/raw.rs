//! Rules as the kernel has them: tests in its own bytes, and where packets go then. What they mean does
//! not matter here; two that test the same have the same bytes.

use common::Family;

/// Matches that have a mask of an address, and where it is (`struct xt_connlimit_info`,
/// `struct xt_recent_mtinfo_v1`). iptables sets its 16 bytes, or those of an IPv4 address where the mask is
/// named, as in its own listing. The kernel looks at the address's.
const MASKS: [(&str, usize); 2] = [("connlimit", 0), ("recent", 212)];

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// What it tests, in order.
    pub tests: Vec<Test>,
    /// Where packets go that pass.
    pub end: End,
    /// `NFTA_RULE_EXPRESSIONS`; empty in the legacy variant.
    pub expressions: Vec<u8>,
}

/// What a test is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A match of xtables.
    Match,
    /// An expression of nf_tables.
    Expression,
    /// Addresses, interfaces and protocol of an entry of the legacy variant.
    Header,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// The name of the match or the expression.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub data: Vec<u8>,
    /// The revision of a match.
    pub revision: Vec<u8>,
}

impl Test {
    /// Without what the kernel does not look at.
    pub fn plain(mut self, family: Family) -> Test {
        let mask = MASKS.iter().find(|(name, _)| *name == self.name);
        if let (Some((_, at)), Family::V4) = (mask, family)
            && let Some(rest) = self.data.get_mut(at + 4..at + 16)
        {
            rest.fill(0);
        }
        self
    }
}

/// Where packets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// To a chain, and back.
    Chain(String),
    /// Back to the chain before.
    Return,
    /// To the next rule.
    Next,
    /// Anything else: a target, a verdict, a chain without the way back.
    Other,
}
