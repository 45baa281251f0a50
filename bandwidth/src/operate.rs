//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::operate::Part;
use common::{Attachment, Drift, Error, Operate, Request};

use crate::config::Config;
use crate::list::{self, Limit};
use crate::{Bandwidth, status, verbs};

impl Operate for Bandwidth {
    type Row = Limit;

    fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
        requests
            .iter()
            .map(|request| verbs::drifts(request))
            .collect()
    }

    fn missing(requests: &[&Request], _found: &[Limit]) -> Vec<Result<Vec<Limit>, Error>> {
        let missing = |request: &&Request| list::missing(request);
        requests.iter().map(missing).collect()
    }

    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn kernel() -> Vec<Part> {
        status::parts().unwrap_or_else(|error| {
            vec![Part {
                name: "rtnetlink".to_owned(),
                purpose: "bandwidth limits nothing",
                fault: Some(error.to_string()),
            }]
        })
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::parse(request).map(drop)
    }
}
