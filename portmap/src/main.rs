//! `portmap`: forwards ports of the node to a container.

mod conditions;
mod config;
mod mapping;
mod plan;

fn main() {}
