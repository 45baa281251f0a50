//! `follow`: repairs what others change, as soon as they have done so.

use std::time::Duration;

use common::Error;

use super::{DONE, print};
use crate::cli::node;
use crate::follow::{Follow, run as follow};
use crate::plugins::Plugin;

pub fn run(args: &node::Follow) -> Result<u8, Error> {
    let node::Follow {
        config_dir,
        cache_dir,
        state_dir,
        grace,
        plugins,
    } = args;
    let what = Follow {
        plugins: Plugin::chosen(plugins),
        config_dir: config_dir.clone(),
        cache_dir: cache_dir.clone(),
        state_dir: state_dir.clone(),
        grace: Duration::from_secs(*grace),
    };
    follow(what, &|line| print(&format!("{line}\n")).map(drop))?;
    Ok(DONE)
}
