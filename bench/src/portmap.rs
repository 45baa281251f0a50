//! The rows of `portmap`.
