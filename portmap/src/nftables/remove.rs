//! DEL and GC: take back what belongs to owners, and what the reference left for their containers.

use std::collections::BTreeSet;
use std::path::Path;

use common::Attachment;
use common::error::Error;
use common::netconf::ValidAttachment;
use common::sys::netlink::Refusal;

use super::claim;
use super::command::{Action, Command};
use super::elements::Elements;
use super::expr::Expr;
use super::layout::CONDITIONS;
use super::object::Set;
use super::set::{Purpose, SetId};
use super::socket::Nft;
use super::{open_if_any, owner, private, reference, shared, transaction, translation, unreadable};
use crate::conntrack::Stale;
use crate::host_port::HostPort;
use crate::mapping::{Family, PortMapping};

/// Where libcni keeps a file `NETWORK-CONTAINER-INTERFACE` for every attachment that lives.
const CACHE: &str = "/var/lib/cni/results";

/// The most elements that go in one batch. Without that bound, GC of a large node would need more
/// memory at once than a socket may have.
const AT_ONCE: usize = 10_000;

/// What to delete, and the connections that end with it.
#[derive(Debug, Default)]
pub struct Removal {
    /// The deletions.
    pub commands: Vec<Command>,
    /// The connections.
    pub stale: Vec<Stale>,
}

impl Removal {
    fn elements(family: Family, found: &Elements) -> Removal {
        Removal {
            commands: claim::commands(family, &Elements::new(), found),
            stale: translation::of_elements(family, found),
        }
    }

    fn extend(&mut self, more: Removal) {
        self.commands.extend(more.commands);
        self.stale.extend(more.stale);
    }
}

/// Takes back everything that belongs to an attachment, and gives the connections that led there;
/// `None` when there was nothing. The mappings only save listing the sets: where they do not explain what is there, the sets are
/// listed.
///
/// # Errors
/// What the kernel refused.
pub fn del(attachment: &Attachment, mappings: &[PortMapping]) -> Result<Option<Vec<Stale>>, Error> {
    let Some(mut nft) = open_if_any()? else {
        return Ok(None);
    };
    let own = owner::text(attachment);
    transaction::run(&mut nft, |nft| {
        let mut views = Vec::new();
        for family in Family::ALL {
            let view = View::look(nft, family, mappings, &own);
            views.push(view.map_err(|refusal| unreadable(family, refusal))?);
        }
        let mut removal = Removal::default();
        for view in views {
            let family = view.family;
            let failed = |refusal| unreadable(family, refusal);
            let found = view
                .complete(nft, &own, mappings.is_empty())
                .map_err(failed)?;
            removal.extend(Removal::elements(family, &found));
            removal.extend(own_chain(nft, family, attachment).map_err(failed)?);
            let theirs = reference::removal(nft, family, |id| id == attachment.container);
            removal.extend(theirs.map_err(failed)?);
        }
        let Removal { commands, stale } = removal;
        let stale = (!commands.is_empty()).then_some(stale);
        Ok((commands, stale))
    })
}

/// What looking up the mappings of a request gave in one family: elements of the owner.
struct View {
    family: Family,
    sets: Vec<Set>,
    found: Elements,
}

impl View {
    fn look(
        nft: &mut Nft,
        family: Family,
        mappings: &[PortMapping],
        own: &str,
    ) -> Result<View, Refusal> {
        let sets = nft.sets(shared::place(family))?;
        let ports: BTreeSet<HostPort> = mappings
            .iter()
            .filter(|mapping| mapping.serves(family))
            .map(|mapping| HostPort {
                protocol: mapping.protocol,
                address: mapping.only_on(),
                port: mapping.host_port,
            })
            .collect();
        let ports: Vec<HostPort> = ports.into_iter().collect();
        let mut found = Elements::new();
        if !sets.is_empty() {
            found = claim::of_ports(nft, family, &sets, own, &ports, None)?;
        }
        Ok(View {
            family,
            found: claim::owned(&found, own),
            sets,
        })
    }

    /// The owner's elements: those found, if the set of attachments says that these are all; else
    /// those that a list of all shows. One who is not in that set has nothing, unless the request does
    /// not even say what to look for.
    fn complete(self, nft: &mut Nft, own: &str, is_blind: bool) -> Result<Elements, Refusal> {
        let of = |purpose| {
            let is_one = move |((id, _), _): &(&(SetId, Vec<u8>), _)| id.purpose == purpose;
            self.found.iter().filter(is_one)
        };
        let claims = of(Purpose::Dnat).count();
        let index = of(Purpose::Attachment).next().map(|(_, element)| element);
        let are_all = match index {
            Some(index) => index.siblings.map(usize::from) == Some(claims),
            None => claims == 0 && !is_blind,
        };
        if are_all {
            return Ok(self.found);
        }
        claim::of_owners(nft, self.family, &self.sets, |by| by == own)
    }
}

/// The deletion of an attachment's own chain and of the rule that leads there.
///
/// # Errors
/// What the kernel refused.
pub fn own_chain(
    nft: &mut Nft,
    family: Family,
    attachment: &Attachment,
) -> Result<Removal, Refusal> {
    let chain = private::chain(attachment);
    let place = shared::place(family);
    if nft.chains(place, &[&chain])?.iter().all(Option::is_none) {
        return Ok(Removal::default());
    }
    let mut removal = rules(nft, family, |_, to| to == chain)?;
    if removal.commands.is_empty() {
        removal.extend(one_chain(nft, family, chain)?);
    }
    Ok(removal)
}

/// The deletion of rules with conditions, chosen by owner and chain, and of the chains they lead to.
fn rules(
    nft: &mut Nft,
    family: Family,
    is_asked: impl Fn(&str, &str) -> bool,
) -> Result<Removal, Refusal> {
    let place = shared::place(family);
    let mut removal = Removal::default();
    let mut chains = BTreeSet::new();
    for rule in nft.rules(place, CONDITIONS)? {
        let comment = rule.comment.as_deref().unwrap_or_default();
        if let Some(Expr::Jump(to)) = rule.exprs.last()
            && to.starts_with(private::PREFIX)
            && is_asked(comment, to)
        {
            chains.insert(to.clone());
            let (chain, handle) = (CONDITIONS.to_owned(), Some(rule.handle));
            let action = Action::DeleteRule { chain, handle };
            removal.commands.push(Command { place, action });
        }
    }
    for chain in chains {
        removal.extend(one_chain(nft, family, chain)?);
    }
    Ok(removal)
}

fn one_chain(nft: &mut Nft, family: Family, chain: String) -> Result<Removal, Refusal> {
    let place = shared::place(family);
    let rules = nft.rules(place, &chain)?;
    let action = Action::DeleteChain(chain);
    Ok(Removal {
        commands: vec![Command { place, action }],
        stale: rules
            .iter()
            .filter_map(|rule| translation::of_rule(family, rule))
            .collect(),
    })
}

/// Takes back everything on a network that belongs to none of its valid attachments, and gives the
/// connections that led there; `None` when there was nothing.
///
/// The reference's rules name a container and no network, so of those only the ones go whose
/// container no network of this node has an attachment for, as far as libcni's cache says.
///
/// # Errors
/// What the kernel refused.
pub fn gc(network: &str, valid: &[ValidAttachment]) -> Result<Option<Vec<Stale>>, Error> {
    let Some(mut nft) = open_if_any()? else {
        return Ok(None);
    };
    let prefix = owner::network_prefix(network);
    let kept: BTreeSet<String> = valid
        .iter()
        .map(|attachment| {
            owner::text(&Attachment {
                network: network.to_owned(),
                container: attachment.container.clone(),
                ifname: attachment.ifname.clone(),
            })
        })
        .collect();
    let is_dead = |by: &str| by.starts_with(&prefix) && !kept.contains(by);
    let cached = cached(Path::new(CACHE));
    let is_unknown = |id: &str| {
        let known = valid.iter().any(|attachment| attachment.container == id);
        let file = format!("-{id}-");
        !known && !cached.iter().any(|name| name.contains(&file))
    };
    let mut stale: Option<Vec<Stale>> = None;
    loop {
        let (more, gone) = transaction::run(&mut nft, |nft| {
            let mut removal = Removal::default();
            let mut more = false;
            for family in Family::ALL {
                let failed = |refusal| unreadable(family, refusal);
                let sets = nft.sets(shared::place(family)).map_err(failed)?;
                let found = claim::of_owners(nft, family, &sets, is_dead).map_err(failed)?;
                more |= found.len() > AT_ONCE;
                let found = found.into_iter().take(AT_ONCE).collect();
                removal.extend(Removal::elements(family, &found));
                removal.extend(rules(nft, family, |by, _| is_dead(by)).map_err(failed)?);
                let theirs = reference::removal(nft, family, is_unknown);
                removal.extend(theirs.map_err(failed)?);
            }
            let Removal { commands, stale } = removal;
            let gone = (!commands.is_empty()).then_some(stale);
            Ok((commands, (more, gone)))
        })?;
        if let Some(gone) = gone {
            stale.get_or_insert_default().extend(gone);
        }
        if !more {
            return Ok(stale);
        }
    }
}

/// The names of the files in libcni's cache; none when there is no cache.
fn cached(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
