//! All that tuning could change in a container, read by other means than ours.

/// Asserts that a state is as an earlier one; a message may follow.
macro_rules! assert_state {
    ($state:expr, $before:expr $(, $($told:tt)+)?) => {
        let differences = $before.diff(&$state);
        assert!(differences.is_empty(), "{differences:#?} {}", String::new() $(+ &format!($($told)+))?);
    };
}
pub(crate) use assert_state;
