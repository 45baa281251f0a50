//! Rules as the kernel has them: tests in its own bytes, and where packets go then. What they mean does
//! not matter here; two that test the same have the same bytes.

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// What it tests, in order.
    pub tests: Vec<Test>,
    /// Where packets go that pass.
    pub end: End,
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
