//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::operate::Part;
use common::{Attachment, Drift, Error, Operate, Request};

use crate::config::Config;
use crate::host_port::{self, HostPort};
use crate::list::row::Row;
use crate::options::BackendKind;
use crate::plan::Plan;
use crate::{Portmap, backends, iptables, list, many, moved, nftables, outlook};

impl Operate for Portmap {
    type Row = Row;

    fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
        many::drifts(requests)
    }

    fn missing(requests: &[&Request], found: &[Row]) -> Vec<Result<Vec<Row>, Error>> {
        list::missing(requests, found)
    }

    fn add_all(requests: &[&Request]) -> Vec<Result<(), Error>> {
        many::add(requests)
    }

    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn plan(request: &Request) -> Result<Vec<String>, Error> {
        let (config, _) = Config::parse(request)?;
        let plan = Plan::new(&config);
        if plan.families.is_empty() {
            return Ok(Vec::new());
        }
        let mut lines = match backends::choose(&config)? {
            BackendKind::Iptables => iptables::shown(&plan, &config),
            BackendKind::Nftables => nftables::shown(&plan),
        };
        if let Some(container) = crate::reached_from_loopback(&plan) {
            let way = format!("of the interface towards {container}");
            lines.push(format!("sysctl route_localnet {way} = 1"));
        }
        Ok(lines)
    }

    fn leftovers(
        parts: &[(&Attachment, &[Request])],
        cache: &Cache,
    ) -> Vec<Result<Vec<Drift>, Error>> {
        moved::leftovers(parts, cache)
    }

    fn retire(former: &[Request], now: &[Request]) -> Result<(), Error> {
        moved::retire(former, now)
    }

    fn claims(request: &Request) -> Vec<String> {
        let Ok((config, _)) = Config::parse(request) else {
            return Vec::new();
        };
        let claim =
            |family,
             HostPort {
                 protocol,
                 address,
                 within: _,
                 number,
             },
             scope| { format!("{family} {address:?} {scope:?} {number}/{protocol}") };
        let families = Plan::new(&config).families.into_iter();
        let claims = families.flat_map(|forwards| {
            let (family, only) = (forwards.family, forwards.only);
            let scope = only.map(|only| only.scope);
            let ports = forwards.ports.into_iter();
            ports.map(move |forward| claim(family, forward.port, scope))
        });
        claims.collect()
    }

    fn names(request: &Request) -> Vec<String> {
        let Ok((config, _)) = Config::parse(request) else {
            return Vec::new();
        };
        let plan = Plan::new(&config);
        let ports = plan.families.iter().flat_map(|family| &family.ports);
        host_port::sorted(ports.map(|forward| forward.port))
    }

    fn kernel() -> Vec<Part> {
        outlook::kernel()
    }

    fn choice(request: &Request) -> Result<Option<String>, Error> {
        outlook::choice(request)
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::of_network(request).map(drop)
    }
}
