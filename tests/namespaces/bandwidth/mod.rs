//! The `bandwidth` plugin, seen from outside.
