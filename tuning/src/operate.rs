//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::{Attachment, Drift, Error, Operate, Request, step};

use crate::Tuning;
use crate::config::Config;
use crate::list::{self, Change};
use crate::look::steps;

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

    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::parse(request).map(drop)
    }
}
