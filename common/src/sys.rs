//! Everything that touches the kernel. The only place where `unsafe` is allowed.

pub mod allocator;
pub mod append;
pub mod ethtool;
pub mod file;
pub mod link;
pub mod lock;
pub mod netlink;
pub mod netns;
pub mod nla;
pub mod peer;
pub mod regular;
pub mod rename;
#[cfg(test)]
pub mod scratch;
pub mod stdout;
pub mod sysctl;
pub mod terminal;
pub mod xtables;
