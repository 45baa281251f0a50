//! Runs the cases on several threads and keeps their order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::failure::{Failure, Verdict};
use crate::lab::Lab;

/// Runs every case and returns verdicts and times in the order of the cases. `ended` hears of each as it ends.
pub fn run(
    cases: &[Case],
    base: &Path,
    threads: usize,
    ended: impl Fn(&Case, &Verdict, Duration) + Sync,
) -> Vec<(Verdict, Duration)> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![(Ok(()), Duration::ZERO); cases.len()]);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, case)) = take(&next, cases) {
                    let started = Instant::now();
                    let verdict = run_one(case, base);
                    let time = started.elapsed();
                    ended(case, &verdict, time);
                    if let Ok(mut verdicts) = verdicts.lock()
                        && let Some(slot) = verdicts.get_mut(number)
                    {
                        *slot = (verdict, time);
                    }
                }
            });
        }
    });
    verdicts.into_inner().unwrap_or_default()
}

fn take<'c>(next: &AtomicUsize, cases: &'c [Case]) -> Option<(usize, &'c Case)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    cases.get(number).map(|case| (number, case))
}

fn run_one(case: &Case, base: &Path) -> Verdict {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new(case.group, base)?;
        case.run(&lab)
    }));
    attempt.unwrap_or_else(|_| Err(Failure("the case itself broke; see stderr".to_owned())))
}
