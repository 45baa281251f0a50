//! Whole-process time of each verb, ours against Debian's reference in the same run.

mod bandwidth;
mod portmap;
mod tuning;

fn main() {}
