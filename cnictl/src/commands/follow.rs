//! `follow`: repairs what others change, as soon as they have done so.

use std::time::Duration;

use common::Error;

use super::{DONE, complain, print};
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
    // A report that nobody gets, as on a full disk, keeps nothing from being repaired.
    let report = |line: &str| {
        if let Err(error) = print(&format!("{line}\n")) {
            complain(&error);
        }
    };
    follow(what, &report)?;
    Ok(DONE)
}
