//! Plan → chains and rules, name for name as the reference writes them.

mod jumps;
mod shared;

use std::collections::BTreeSet;

use common::result::Prefix;
use common::{Attachment, Family};
use xtables::Table;
use xtables::nf_tables::concern::Concern;
use xtables::transaction::Command;

use super::owner;
use super::ranges::{self, Range};
use crate::config::Config;
use crate::entry;
use crate::host_port::{Forward, HostPort};
use crate::options::{DEFAULT_MARK_BIT, Mark, Masquerade};
use crate::plan::{Forwards, Plan};
use crate::runs::RUN;
use jumps::{destinations, jumps};
use shared::shared;

pub use super::names::{
    CHAINS, DNAT, GUARD, MASQ, OWN_PREFIX, SETMARK, exact_name, is_own_name, shared_name,
};
pub use jumps::{Jump, jump};
pub use shared::Shared;

/// What one IP version's tables are to hold for an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The IP version.
    pub family: Family,
    /// The owner.
    pub attachment: Attachment,
    /// The attachment's chain.
    pub own: Vec<String>,
    /// The rules that lead there.
    pub jumps: Vec<Jump>,
    /// The addresses that they are limited to; none where they are not.
    pub only: Vec<Prefix>,
    /// The interfaces of these limits in words; `None` without limits.
    pub interfaces: Option<String>,
    /// Whether the jumps carry conditions, whose meaning only iptables knows.
    pub conditional: bool,
    /// Whether such jumps are known to be there.
    pub conditions_stand: bool,
    /// Chains of ours that must exist.
    pub chains: Vec<(Table, &'static str)>,
    /// What they and the kernel's chains must hold.
    pub shared: Vec<Shared>,
    /// What is forwarded.
    pub ports: Vec<Forward>,
    /// What the rules are made from, where they have ranges.
    ranged: Option<Box<Source>>,
}

/// What rules are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    masquerade: Masquerade,
    mark: Mark,
    forwards: Forwards,
}

impl Wanted {
    /// The same with a rule for each port, as the reference writes it, where ranges are wanted.
    pub fn singly(&self) -> Option<Wanted> {
        let Source {
            masquerade,
            mark,
            forwards,
        } = self.ranged.as_deref()?;
        let single = written(&self.attachment, *masquerade, mark, forwards, usize::MAX);
        Some(single)
    }

    /// Every chain but the attachment's own that has something to hold.
    pub fn all_chains(&self) -> Vec<(Table, &str)> {
        let shared = self.shared.iter().map(|s| (s.table, s.chain));
        let all = self.chains.iter().copied().chain(shared);
        all.map(|(table, chain)| (table, chain as &str)).collect()
    }

    /// The chain that the reference uses.
    pub fn shared_name(&self) -> String {
        shared_name(&self.attachment)
    }

    /// The chain to use when another attachment has that one.
    pub fn exact_name(&self) -> String {
        exact_name(&self.attachment)
    }
}

/// Whether a command is about attachments' own chains or the jumps to them. Everything else is shared,
/// and stays once it is made: others may have come to need it.
pub fn is_of_attachments(command: &Command) -> bool {
    match command {
        Command::New(chain) if chain == DNAT => false,
        other => other.chain() == DNAT || is_own_name(other.chain()),
    }
}

/// Of the jumps to attachments, those that lead to some chains.
pub fn leading_to(chains: Vec<String>) -> Concern {
    Concern {
        dispatch: DNAT,
        prefix: OWN_PREFIX,
        chains,
        ports: BTreeSet::new(),
        mark: None,
        jumps: None,
    }
}

/// Of the jumps to attachments, those with a mark.
pub fn marked(mark: String) -> Concern {
    Concern {
        mark: Some(mark),
        ..leading_to(Vec::new())
    }
}

/// The chains and rules for one IP version's forwards.
pub fn wanted(
    attachment: &Attachment,
    masquerade: Masquerade,
    mark: &Mark,
    forwards: &Forwards,
) -> Wanted {
    written(attachment, masquerade, mark, forwards, RUN)
}

/// The same; at least so many adjacent ports become a range.
fn written(
    attachment: &Attachment,
    masquerade: Masquerade,
    mark: &Mark,
    forwards: &Forwards,
    least: usize,
) -> Wanted {
    let Forwards {
        family,
        container,
        conditions,
        only,
        ports,
        listed: _,
    } = forwards;
    let only = destinations(only.as_ref(), ports);
    let marking = match (masquerade, mark) {
        (Masquerade::Nothing, _) => None,
        (_, Mark::Bit(_)) => Some(SETMARK),
        (_, Mark::Chain(name)) => Some(name.as_str()),
    };
    let mut own = Vec::new();
    let runs = ranges::of_forwards(ports, least);
    for run in &runs {
        if let Some(chain) = marking {
            for source in masqueraded_sources(masquerade, *family, container) {
                own.push(format!("{source}{} -j {chain}", base(run)));
            }
        }
        for some in ranges::of_run(run, least) {
            let to = match some {
                [one] => one.to.to_string(),
                // The port stays what it is.
                _ => container.addr.to_string(),
            };
            own.push(format!("{} -j DNAT --to-destination {to}", base(some)));
        }
    }
    let entry = |hash| owner::entry_rule(hash, !conditions.is_empty());
    own.extend(entry::of(attachment).map(entry));
    let (chains, shared) = shared(*family, masquerade, mark);
    let jumps = jumps(attachment, forwards, &only, least);
    let mut ranges = jumps.iter().flat_map(|jump| &jump.ports);
    let is_ranged =
        runs.iter().any(|run| run.len() > 1) || ranges.any(|range| range.first != range.last);
    Wanted {
        family: *family,
        attachment: attachment.clone(),
        own,
        jumps,
        only,
        interfaces: forwards.only.as_ref().map(|only| only.interfaces.clone()),
        conditional: !conditions.is_empty(),
        conditions_stand: false,
        chains,
        shared,
        ports: ports.clone(),
        ranged: is_ranged.then(|| {
            Box::new(Source {
                masquerade,
                mark: mark.clone(),
                forwards: forwards.clone(),
            })
        }),
    }
}

/// What plans want in some IP versions.
pub fn all_wanted(plan: &Plan, config: &Config, families: &[Family]) -> Vec<Wanted> {
    let of = |forwards| wanted(&plan.attachment, plan.masquerade, &config.mark, forwards);
    let forwards = families.iter().filter_map(|family| plan.family(*family));
    forwards.map(of).collect()
}

/// What is wanted when the foreign chain that should mark packets is missing.
pub fn own_mark(plan: &Plan, config: &Config, family: Family) -> Option<Wanted> {
    match config.mark {
        Mark::Bit(_) => None,
        Mark::Chain(_) => plan.family(family).map(|forwards| {
            let mark = Mark::Bit(DEFAULT_MARK_BIT);
            wanted(&plan.attachment, plan.masquerade, &mark, forwards)
        }),
    }
}

/// The matches of a port, or of a run of ports, as iptables prints them.
fn base(run: &[Forward]) -> String {
    let ([first, ..], Some(last)) = (run, run.last()) else {
        return String::new();
    };
    let HostPort {
        protocol,
        address,
        within: _,
        number,
    } = first.port;
    let range = Range {
        first: number,
        last: last.port.number,
    };
    let destination =
        address.map_or_else(String::new, |addr| format!("-d {} ", Prefix::whole(addr)));
    format!("{destination}-p {protocol} -m {protocol} --dport {range}")
}

/// The source matches whose packets are masqueraded. The container's whole network is one of them,
/// as in the reference: packets from a neighbour on its bridge would else be answered directly.
fn masqueraded_sources(masquerade: Masquerade, family: Family, container: &Prefix) -> Vec<String> {
    match (masquerade, family) {
        (Masquerade::Nothing, _) => vec![],
        (Masquerade::All, _) => vec![String::new()],
        (Masquerade::Needed, family) => {
            let network = container.network();
            let mut sources = vec![match network.len {
                0 => String::new(),
                _ => format!("-s {network} "),
            }];
            if family == Family::V4 {
                sources.push("-s 127.0.0.1/32 ".into());
            }
            sources
        }
    }
}

#[cfg(test)]
mod tests;
