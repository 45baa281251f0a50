//! Attachments whose configuration has another backend by now, or none.

use std::collections::HashMap;

use common::cache::Cache;
use common::sys::lock::Children;
use common::{Attachment, Drift, Error, Request};

use crate::backend::Leaving;
use crate::backends;
use crate::config::Config;
use crate::entry;
use crate::list;
use crate::list::row::Row;
use crate::options::BackendKind;
use crate::turn;

/// The host ports of attachments in backends that their requests do not ask for.
pub fn leftovers(
    parts: &[(&Attachment, &[Request])],
    cache: &Cache,
) -> Vec<Result<Vec<Drift>, Error>> {
    let mut all = match list::forwards() {
        Ok(all) => all,
        Err(error) => return parts.iter().map(|_| Err(error.clone())).collect(),
    };
    list::complete(&mut all, &cache.index());
    let mut by_owner: HashMap<&Attachment, Vec<&Row>> = HashMap::new();
    for forward in &all {
        by_owner.entry(&forward.owner).or_default().push(forward);
    }
    let of = |(owner, requests): &(&Attachment, &[Request])| {
        let wanted = Wanted::of(requests)?;
        let forwards = by_owner.get(owner).into_iter().flatten();
        let left = forwards.filter(|row| !wanted.iter().any(|wanted| wanted.is_of(row)));
        Ok(left.map(|forward| drift(forward)).collect())
    };
    parts.iter().map(of).collect()
}

/// What a request that maps anything makes.
struct Wanted {
    backend: BackendKind,
    owner: Attachment,
}

impl Wanted {
    fn of(requests: &[Request]) -> Result<Vec<Wanted>, Error> {
        let mut all = Vec::new();
        for request in requests {
            let (config, _) = Config::parse(request)?;
            if config.families().next().is_some() {
                all.push(Wanted {
                    backend: backends::choose(&config)?,
                    owner: config.attachment,
                });
            }
        }
        Ok(all)
    }

    /// Whether a host port of the attachment is what it makes.
    fn is_of(&self, row: &Row) -> bool {
        self.backend == backend(row) && row.may_be_of(entry::of(&self.owner))
    }
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

/// Removes what an attachment has in backends and of entries that its requests do not ask for. Connections stay:
/// they are translated as they began, to the same container.
///
/// # Errors
/// What could not be removed.
pub fn retire(former: &[Request], now: &[Request]) -> Result<(), Error> {
    let Some(request) = former.first().or(now.first()) else {
        return Ok(());
    };
    let wanted = Wanted::of(now)?;
    let _turn = turn::of(&request.attachment, Children::DoNotHold)?;
    let leaving = Leaving::of(request);
    let mut errors = Vec::new();
    for backend in [BackendKind::Iptables, BackendKind::Nftables] {
        let kept = wanted.iter().filter(|wanted| wanted.backend == backend);
        let kept: Vec<Attachment> = kept.map(|wanted| wanted.owner.clone()).collect();
        let gone = match kept.as_slice() {
            [] => Vec::from(leaving.all()),
            kept => vec![leaving.entries(kept)],
        };
        let removed = gone.iter();
        let removed = removed.map(|gone| backends::remove_from(backend, gone, &request.log));
        errors.extend(removed.filter_map(Result::err));
    }
    Error::all(errors).map_or(Ok(()), Err)
}
