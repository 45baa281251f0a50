//! The `tuning` plugin, seen from outside.
