//! The tests that need a kernel are in `namespaces/`, one binary.
