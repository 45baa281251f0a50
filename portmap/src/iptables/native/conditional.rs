//! The jumps of an attachment with conditions: iptables alone knows what their words mean, so its program
//! writes them. They are read back, and those that they replace go by their handles.

use common::error::{Code, Error};

use super::super::add::refused;
use super::super::compiled::Compiled;
use super::super::kernel::batch;
use super::super::kernel::nft::Seen;
use super::super::observe::{jumps_to, own_chains};
use super::super::rules::{DNAT, Table, Wanted};
use super::super::tool::{Tool, Variant};
use super::super::transaction::{Command as Line, Transaction};
use super::super::write;
use super::commit;
use crate::config::Evidence;
use crate::nftables::socket::Nft;

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
        let (chain, former) = standing(nft, wanted, evidence)?;
        if self.compiled.stand(family, &chain)? {
            return Ok(());
        }
        let mut transaction = Transaction::default();
        write::insert_jumps(&mut transaction, wanted, &chain);
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

/// The attachment's chain, and the handles of the jumps that lead there.
fn standing(
    nft: &mut Nft,
    wanted: &Wanted,
    evidence: &Evidence,
) -> Result<(String, Vec<u64>), Error> {
    let names = [wanted.shared_name(), wanted.exact_name()];
    let chains = [DNAT, &names[0], &names[1]].map(|name| (Table::Nat, name));
    let seen = Seen::chains(nft, wanted.family, &chains)?;
    let own = own_chains(&seen.state, &wanted.attachment, evidence);
    let chain = own
        .into_iter()
        .next()
        .unwrap_or_else(|| wanted.shared_name());
    let rules = seen.rules(Table::Nat, DNAT);
    let handles = jumps_to(&seen.state, &chain).filter_map(|s| rules.get(s.place)?.handle);
    let handles = handles.collect();
    Ok((chain, handles))
}
