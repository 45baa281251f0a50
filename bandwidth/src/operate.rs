//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::{Attachment, Drift, Error, Operate, Request, step};

use crate::config::Config;
use crate::list::{self, Limit};
use crate::{Bandwidth, look};

impl Operate for Bandwidth {
    type Row = Limit;

    fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
        let drifts = |request: &&Request| look::steps(request).map(step::drifts);
        requests.iter().map(drifts).collect()
    }

    fn missing(requests: &[&Request], _found: &[Limit]) -> Vec<Result<Vec<Limit>, Error>> {
        let missing = |request: &&Request| list::missing(request);
        requests.iter().map(missing).collect()
    }

    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::parse(request).map(drop)
    }
}
