//! Everything that is tested in the kernel: each test makes its own namespaces.

mod bandwidth;
mod chain;
mod portmap;
mod protocol;
mod tuning;
