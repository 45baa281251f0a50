//! Jumps with conditions: iptables alone knows what their words mean. It writes them where no packet passes,
//! and what the kernel has of them goes into the batch.

use common::Family;
use common::error::{Code, Error};
use xtables::nf_tables::batch::{Former, Made};
use xtables::nf_tables::{Seen, encode, raw, words};
use xtables::{Table, Variant};

use super::super::compiled::Compiled;
use super::super::rules::{DNAT, Wanted};
use super::super::tool::Tool;
use super::super::write;
use crate::config::Evidence;

/// Jumps with conditions that are known to be tests.
pub struct Conditional {
    /// Their IP version.
    pub family: Family,
    compiled: Compiled,
}

impl Conditional {
    /// Tries the conditions out.
    ///
    /// # Errors
    /// As [`Compiled::of`], and code 103 without iptables' program.
    pub fn of(wanted: &Wanted) -> Result<Conditional, Error> {
        let family = wanted.family;
        let tool = Tool::of(family, Variant::Nft)?.ok_or_else(|| {
            let msg = format!("conditions need iptables-nft-restore ({family})");
            Error::new(Code::Unsupported, msg)
        })?;
        let compiled = Compiled::of(&tool, wanted)?;
        Ok(Conditional { family, compiled })
    }

    /// The rules that the jumps to the attachment's chain become. Notes whether they are there.
    ///
    /// # Errors
    /// Code 100 for rules that are too large for the kernel.
    pub fn made(
        &self,
        seen: &Seen,
        wanted: &mut Wanted,
        evidence: &Evidence,
    ) -> Result<Made, Error> {
        let chain = write::chain(&seen.state, wanted, evidence);
        let standing = seen.rules(Table::Nat, DNAT).iter();
        let standing = standing.map(|rule| raw::raw(&rule.expressions)).collect();
        wanted.conditions_stand = self.compiled.are(self.family, standing, &chain);
        let jumps = wanted.jumps.iter().map(|jump| jump.to(&chain));
        let made = self.compiled.of_each_jump(wanted.jumps.len());
        jumps
            .zip(made)
            .map(|(jump, rules)| {
                let rules = rules.iter().map(|rule| self.leading_to(&chain, rule));
                Ok((jump, rules.collect::<Result<_, _>>()?))
            })
            .collect()
    }

    fn leading_to(&self, chain: &str, rule: &[u8]) -> Result<Former, Error> {
        let expressions = encode::leading_to(chain, rule).map_err(|refusal| {
            let msg = format!("write the conditions of chain {chain}");
            Error::new(Code::System, msg).with_details(refusal)
        })?;
        Ok(Former {
            words: words::rule(self.family, &expressions),
            expressions,
        })
    }
}
