//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::operate::Part;
use common::{Attachment, Drift, Error, Operate, Request, step};

use crate::config::Config;
use crate::list::{self, Change};
use crate::look::steps;
use crate::plan::Plan;
use crate::{Tuning, allowlist, attribute, status};

impl Operate for Tuning {
    type Row = Change;

    fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
        let drifts = |request: &&Request| steps(request).map(step::drifts);
        requests.iter().map(drifts).collect()
    }

    fn missing(requests: &[&Request], _found: &[Change]) -> Vec<Result<Vec<Change>, Error>> {
        let missing = |request: &&Request| {
            let steps = steps(request)?.into_iter();
            Ok(steps
                .filter_map(|step| Change::missing(request, step))
                .collect())
        };
        requests.iter().map(missing).collect()
    }

    fn plans(requests: &[&Request]) -> Vec<Result<Vec<String>, Error>> {
        requests.iter().map(|request| plan(request)).collect()
    }

    fn leftovers(
        parts: &[(&Attachment, &[Request])],
        cache: &Cache,
    ) -> Vec<Result<Vec<Drift>, Error>> {
        let owners = list::owners(cache);
        let of = |(owner, requests): &(&Attachment, &[Request])| {
            let owners = owners.as_ref().map_err(Error::clone)?;
            let is_left = requests.is_empty() && owners.contains(owner);
            let drift = || Drift::new("changed values", "none", "a backup of the originals");
            Ok(is_left.then(drift).into_iter().collect())
        };
        parts.iter().map(of).collect()
    }

    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn kernel() -> Vec<Part> {
        status::parts()
    }

    fn choice(request: &Request) -> Result<Option<String>, Error> {
        allowlist::outlook(&Config::parse(request)?).map(Some)
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::parse(request).map(drop)
    }
}

/// What ADD would make.
fn plan(request: &Request) -> Result<Vec<String>, Error> {
    let config = Config::parse(request)?;
    allowlist::permit(&config)?;
    let Plan {
        sysctls,
        link,
        offloads,
    } = Plan::new(config);
    let ifname = &request.attachment.ifname;
    let sysctls = sysctls.iter();
    let sysctls = sysctls.map(|one| format!("sysctl {} = {}", one.name.text(), one.value));
    let link = link.iter().map(|one| {
        let (name, value) = (attribute::name(*one), attribute::value(*one));
        format!("link {ifname} {name} {value}")
    });
    let offloads = offloads.iter().map(|one| {
        let value = if one.on { "on" } else { "off" };
        format!("{} {} {value}", one.side.key(), one.written)
    });
    Ok(sysctls.chain(link).chain(offloads).collect())
}
