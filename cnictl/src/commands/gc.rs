//! `gc`: of a network, or of this node.

mod network;
mod node;

use common::Error;

use super::runner::outcome;
use crate::cli::node::Gc;

pub fn run(args: &Gc) -> Result<u8, Error> {
    match &args.network {
        Some(network) => outcome(&args.common, network::run(args, network)),
        None => node::run(args),
    }
}
