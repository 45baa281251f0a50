//! The jumps of an attachment with conditions: iptables alone knows what their words mean, so its program
//! writes them. They are read back, and those that they replace go by their handles.

use common::error::{Code, Error};
use nft::socket::Nft;
use xtables::nf_tables::{Seen, batch};
use xtables::transaction::{Command as Line, Transaction};
use xtables::{Table, Variant};

use super::super::compiled::Compiled;
use super::super::observe::jumps_to;
use super::super::refusal::refused;
use super::super::rules::{DNAT, Wanted};
use super::super::tool::Tool;
use super::super::{by_place, write};
use super::{commit, look};
use crate::config::Evidence;

/// Jumps with conditions that are known to be tests.
pub struct Conditional {
    wanted: Wanted,
    tool: Tool,
    compiled: Compiled,
}

impl Conditional {
    /// Tries the conditions out.
    ///
    /// # Errors
    /// As [`Compiled::of`], and code 103 without iptables' program.
    pub fn of(wanted: Wanted) -> Result<Conditional, Error> {
        let family = wanted.family;
        let tool = Tool::of(family, Variant::Nft)?.ok_or_else(|| {
            let msg = format!("conditions need iptables-nft-restore ({family})");
            Error::new(Code::Unsupported, msg)
        })?;
        let compiled = Compiled::of(&tool, &wanted)?;
        Ok(Conditional {
            wanted,
            tool,
            compiled,
        })
    }

    /// Writes the jumps to a chain that is there, unless they are there, too.
    ///
    /// # Errors
    /// Code 7 for conditions that iptables refuses, 100 for anything else.
    pub fn write(&self, nft: &mut Nft, evidence: &Evidence) -> Result<(), Error> {
        let (wanted, family) = (&self.wanted, self.wanted.family);
        let seen = look::of(nft, wanted, None)?;
        let chain = write::chain(&seen.state, wanted, evidence);
        if self.compiled.stand(family, &chain)? {
            return Ok(());
        }
        let rules = seen.rules(Table::Nat, DNAT);
        let former = jumps_to(&seen.state, &chain).filter_map(|s| rules.get(s.place)?.handle);
        let former: Vec<u64> = former.collect();
        let mut transaction = Transaction::default();
        write::replace_jumps(&mut transaction, &seen.state, wanted, &chain);
        by_place::take_removals(&mut transaction);
        let text = transaction.text();
        self.tool
            .restore(&text)
            .map_err(|failure| refused(&failure, &text, wanted))?;
        commit(nft, |nft| {
            let mut seen = Seen::chains(nft, family, &[(Table::Nat, DNAT)])?;
            let is_old = |place: usize| {
                let rule = seen.rules(Table::Nat, DNAT).get(place);
                let handle = rule.and_then(|rule| rule.handle);
                handle.is_some_and(|handle| former.contains(&handle))
            };
            let jumps: Vec<_> = jumps_to(&seen.state, &chain).collect();
            let mut old = Transaction::default();
            for jump in jumps.into_iter().rev().filter(|jump| is_old(jump.place)) {
                let line = Line::Delete(DNAT.to_owned(), jump.place, jump.rule);
                old.push(Table::Nat, line);
            }
            Ok((batch::commands(&mut seen, &old)?, ()))
        })
    }
}
