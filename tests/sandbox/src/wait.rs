//! Waiting for a condition instead of for a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time between two looks at a condition.
const STEP: Duration = Duration::from_millis(2);

/// Looks at `condition` every 2 ms until it holds or `timeout` has passed; says whether it held.
/// It is looked at once more after the timeout, so that a slow machine does not decide.
pub fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < timeout {
        if condition() {
            return true;
        }
        sleep(STEP);
    }
    condition()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let held = wait_until(Duration::from_secs(60), || {
            looks += 1;
            looks == 3
        });
        assert!(held);
        assert_eq!(looks, 3);
    }

    #[test]
    fn a_condition_that_never_holds_ends_at_the_timeout() {
        assert!(!wait_until(Duration::from_millis(5), || false));
    }
}
