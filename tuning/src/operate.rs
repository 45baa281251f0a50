//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::{Attachment, Error, Operate};

use crate::{Tuning, list};

impl Operate for Tuning {
    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }
}
