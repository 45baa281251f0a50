//! The rows of `bandwidth`.
