//! What goes with a release: which crates are in the binaries, under which licences, and the
//! documents that say so.

pub mod crates;
pub mod licence;
pub mod notices;
pub mod sbom;

/// The packages whose binaries are released.
pub const RELEASED: [&str; 4] = ["bandwidth", "portmap", "tuning", "cnictl"];
