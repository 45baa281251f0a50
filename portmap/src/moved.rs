//! Attachments whose configuration has another backend by now, or none.

use std::collections::HashMap;

use common::cache::Cache;
use common::sys::lock::Children;
use common::{Attachment, Drift, Error, Request};

use crate::backend::Gone;
use crate::backends;
use crate::config::{self, Config, Evidence};
use crate::list;
use crate::list::row::Row;
use crate::options::BackendKind;
use crate::turn::Turn;

/// The host ports of attachments in backends that their requests do not ask for.
pub fn leftovers(
    parts: &[(&Attachment, &[Request])],
    cache: &Cache,
) -> Vec<Result<Vec<Drift>, Error>> {
    let mut all = match list::forwards() {
        Ok(all) => all,
        Err(error) => return parts.iter().map(|_| Err(error.clone())).collect(),
    };
    list::complete(&mut all, cache);
    let mut by_owner: HashMap<&Attachment, Vec<&Row>> = HashMap::new();
    for forward in &all {
        by_owner.entry(&forward.owner).or_default().push(forward);
    }
    let of = |(owner, requests): &(&Attachment, &[Request])| {
        let wanted = wanted(requests)?;
        let forwards = by_owner.get(owner).into_iter().flatten();
        let left = forwards.filter(|forward| !wanted.contains(&backend(forward)));
        Ok(left.map(|forward| drift(forward)).collect())
    };
    parts.iter().map(of).collect()
}

/// The backends of requests that map anything.
fn wanted(requests: &[Request]) -> Result<Vec<BackendKind>, Error> {
    let mut wanted = Vec::new();
    for request in requests {
        let (config, _) = Config::parse(request)?;
        if config.families().next().is_some() {
            wanted.push(backends::choose(&config)?);
        }
    }
    Ok(wanted)
}

fn backend(row: &Row) -> BackendKind {
    match row.backend.starts_with(BackendKind::Iptables.name()) {
        true => BackendKind::Iptables,
        false => BackendKind::Nftables,
    }
}

fn drift(row: &Row) -> Drift {
    let nothing = format!("nothing in {}", row.backend);
    Drift::new(row.forward.port, nothing, row.forward.to)
}

/// Removes what an attachment has in the backends that its requests do not ask for. Connections stay:
/// they are translated as they began, to the same container.
///
/// # Errors
/// What could not be removed.
pub fn retire(former: &[Request], now: &[Request]) -> Result<(), Error> {
    let Some(request) = former.first().or(now.first()) else {
        return Ok(());
    };
    let wanted = wanted(now)?;
    let _turn = Turn::of(&request.attachment, Children::DoNotHold)?;
    let mappings = config::understood_mappings(request);
    let evidence = Evidence::of_request(request);
    let gone = Gone::Attachment {
        attachment: &request.attachment,
        mappings: &mappings,
        evidence: &evidence,
    };
    let unwanted = [BackendKind::Iptables, BackendKind::Nftables].into_iter();
    let errors = unwanted.filter(|backend| !wanted.contains(backend));
    let errors =
        errors.filter_map(|backend| backends::remove_from(backend, &gone, &request.log).err());
    Error::all(errors.collect()).map_or(Ok(()), Err)
}
