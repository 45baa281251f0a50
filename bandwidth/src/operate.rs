//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::{Attachment, Error, Operate, Request};

use crate::config::Config;
use crate::{Bandwidth, list};

impl Operate for Bandwidth {
    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::parse(request).map(drop)
    }
}
