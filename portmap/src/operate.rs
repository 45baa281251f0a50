//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::{Attachment, Drift, Error, Operate, Request};

use crate::config::Config;
use crate::host_port::{self, HostPort};
use crate::list::row::Row;
use crate::plan::Plan;
use crate::{Portmap, list, many};

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

    fn claims(request: &Request) -> Vec<String> {
        let Ok((config, _)) = Config::parse(request) else {
            return Vec::new();
        };
        let claim = |family,
                     HostPort {
                         protocol,
                         address,
                         number,
                     }| { format!("{family} {address:?} {number}/{protocol}") };
        let families = Plan::new(&config).families.into_iter();
        let claims = families.flat_map(|forwards| {
            let family = forwards.family;
            let ports = forwards.ports.into_iter();
            ports.map(move |forward| claim(family, forward.port))
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

    fn judge(request: &Request) -> Result<(), Error> {
        Config::of_network(request).map(drop)
    }
}
