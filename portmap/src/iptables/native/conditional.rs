//! The jumps of an attachment with conditions: iptables alone knows what their words mean, so its program
//! writes them. They are read back, and those that they replace go by their handles.

use common::error::{Code, Error};

use super::super::add::{conditions_key, refused};
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

/// Writes the jumps to a chain that is there.
///
/// # Errors
/// Code 7 for conditions that iptables refuses or that give no rule, 103 without its program, 100 for
/// anything else.
pub fn write(nft: &mut Nft, wanted: &Wanted, evidence: &Evidence) -> Result<(), Error> {
    let family = wanted.family;
    let tool = Tool::of(family, Variant::Nft).ok_or_else(|| {
        let msg = format!("conditions need iptables-nft-restore ({family})");
        Error::new(Code::Unsupported, msg)
    })?;
    let (chain, former) = standing(nft, wanted, evidence)?;
    let mut transaction = Transaction::default();
    write::insert_jumps(&mut transaction, wanted, &chain);
    let text = transaction.text();
    tool.restore(&text)
        .map_err(|failure| refused(&failure, &text, wanted))?;
    commit(nft, |nft| {
        let mut seen = Seen::chains(nft, family, &[(Table::Nat, DNAT)])?;
        let handle = |place: usize| seen.rules(Table::Nat, DNAT).get(place)?.handle;
        let (mut old, mut new) = (Transaction::default(), 0);
        let jumps: Vec<_> = jumps_to(&seen.state, &chain).collect();
        for jump in jumps.into_iter().rev() {
            match handle(jump.place).is_some_and(|handle| former.contains(&handle)) {
                true => old.push(
                    Table::Nat,
                    Line::Delete(DNAT.to_owned(), jump.place, jump.rule),
                ),
                false => new += 1,
            }
        }
        if new < wanted.jumps.len() {
            let key = conditions_key(family);
            let msg = format!("{key}: iptables makes no rule of these matches");
            return Err(Error::new(Code::InvalidConfig, msg));
        }
        Ok((batch::commands(&mut seen, &old)?, ()))
    })
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
