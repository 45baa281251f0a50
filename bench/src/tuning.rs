//! The rows of `tuning`.
