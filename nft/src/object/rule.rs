//! Rules.

use std::fmt;

use common::sys::netlink::attribute;
use common::sys::nla::Nla;

use super::{Counters, comment, userdata};
use crate::expr::Expr;
use crate::uapi;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number in the table; 0 for one that is not there yet.
    pub handle: u64,
    /// What it does.
    pub exprs: Vec<Expr>,
    /// Its comment.
    pub comment: Option<String>,
}

impl Rule {
    /// A rule to be written.
    pub fn new(exprs: Vec<Expr>) -> Rule {
        Rule {
            handle: 0,
            exprs,
            comment: None,
        }
    }

    /// The attributes beside table, chain and handle.
    pub fn encode(&self) -> Vec<Nla> {
        let exprs: Vec<Nla> = self.exprs.iter().map(Expr::encode).collect();
        let mut attributes = vec![Nla::nested(uapi::RULE_EXPRESSIONS, exprs)];
        let comment = self.comment.as_deref();
        attributes.extend(comment.map(|comment| userdata(uapi::RULE_USERDATA, comment)));
        attributes
    }

    /// Whether it can only end in a jump to that chain.
    pub fn leads_to(&self, chain: &str) -> bool {
        self.jump().is_some_and(|to| to == chain)
    }

    /// The same for any chain whose name begins so.
    pub fn leads_to_one_of(&self, prefix: &str) -> bool {
        self.jump().is_some_and(|to| to.starts_with(prefix))
    }

    /// The chain that it leads to, where it can end in nothing but a jump there.
    pub fn jump(&self) -> Option<&str> {
        let is_verdict = |expr: &Expr| match expr {
            Expr::Jump(_) | Expr::Drop | Expr::Return => true,
            Expr::Other(name) => name == "immediate",
            _ => false,
        };
        match self.exprs.split_last()? {
            (Expr::Jump(to), tests) if !tests.iter().any(is_verdict) => Some(to),
            _ => None,
        }
    }

    /// What it has counted, where it counts.
    pub fn counters(&self) -> Option<Counters> {
        self.exprs.iter().find_map(|expr| match expr {
            Expr::Counter(counters) => Some(*counters),
            _ => None,
        })
    }

    /// Whether packets fare alike by both, whatever they count.
    pub fn does_as(&self, other: &Rule) -> bool {
        let decides = |expr: &&Expr| !matches!(expr, Expr::Counter(_));
        let exprs = self.exprs.iter().filter(decides);
        exprs.eq(other.exprs.iter().filter(decides))
    }

    /// Reads an `NFT_MSG_NEWRULE`'s attributes.
    pub fn decode(attributes: &[u8]) -> Rule {
        let handle = attribute(attributes, uapi::RULE_HANDLE)
            .and_then(|value| value.try_into().ok())
            .map_or(0, u64::from_be_bytes);
        Rule {
            handle,
            exprs: attribute(attributes, uapi::RULE_EXPRESSIONS)
                .map(Expr::decode_all)
                .unwrap_or_default(),
            comment: attribute(attributes, uapi::RULE_USERDATA).and_then(comment),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, expr) in self.exprs.iter().enumerate() {
            let blank = if index > 0 { " " } else { "" };
            write!(f, "{blank}{expr}")?;
        }
        Ok(())
    }
}
