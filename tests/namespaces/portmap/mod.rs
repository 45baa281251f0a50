//! The `portmap` plugin, seen from outside.

mod nftables;
