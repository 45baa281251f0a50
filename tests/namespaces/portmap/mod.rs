//! The `portmap` plugin, seen from outside.
