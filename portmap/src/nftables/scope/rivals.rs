//! Other limits with addresses in common. Their rules follow each other, the oldest limits first, and the first
//! whose map has a port translates: no order of rules could be right for all ports.

use common::Drift;
use common::Family;
use common::sys::netlink::Refusal;
use nft::socket::Nft;

use super::names::{chain, of_chain};
use super::{intervals, read};
use crate::host_port::{HostPort, claimed};
use crate::limits::Allowed;
use crate::nftables::claim::{self, Taken};
use crate::nftables::layout::BY_ADDRESS;
use crate::nftables::shared::{self, Seen};

/// The ports of other containers that are served within other limits, on addresses in common.
#[derive(Debug, Default)]
pub struct Rivals {
    /// Those that get the packets to these addresses.
    pub before: Vec<Taken>,
    /// Those that do not.
    pub behind: Vec<Taken>,
}

/// Looks up those of some ports within limits.
///
/// # Errors
/// What the kernel refused.
pub fn of(
    nft: &mut Nft,
    family: Family,
    seen: &Seen,
    allowed: &Allowed,
    (ports, owner): (&[HostPort], &str),
) -> Result<Rivals, Refusal> {
    let ours = intervals(&allowed.prefixes);
    let mut rivals = Rivals::default();
    let mut is_before = true;
    for scope in seen.scopes.iter().filter_map(|rule| of_chain(rule.jump()?)) {
        if scope == allowed.scope {
            is_before = false;
            continue;
        }
        if !read(nft, family, scope)?.meets(&ours) {
            continue;
        }
        let within = Some(scope);
        let wide = ports.iter().filter(|port| port.address.is_none());
        let theirs = wide.map(|port| HostPort { within, ..*port });
        let found = claim::serving(nft, family, &seen.sets, &theirs.collect())?;
        let taken = claim::taken(&found, owner);
        match is_before {
            true => rivals.before.extend(taken),
            false => rivals.behind.extend(taken),
        }
    }
    Ok(rivals)
}

impl Rivals {
    /// What an attachment lacks because of them.
    pub fn drifts(&self, family: Family, only: &Allowed) -> Vec<Drift> {
        let object = format!("chain {BY_ADDRESS} of {}", shared::table_name(family));
        let drift = |Taken { port, by }: &Taken| {
            let theirs = port.within.map_or_else(String::new, chain);
            let expected = format!("no other limits with {port} on the same addresses");
            Drift::new(
                &object,
                expected,
                format!("{theirs} before it, where {by} has it"),
            )
            .of_taken(Some(claimed(family, *port, Some(&only.interfaces))))
        };
        self.before.iter().map(drift).collect()
    }
}
