//! Requests of several pods at the same time.

use std::thread;

use crate::failure::{Verdict, fail};
use crate::request::Request;

/// Does the same with each request, all in threads of their own; the first failure counts.
pub fn at_once<'p>(
    requests: impl IntoIterator<Item = Request<'p>>,
    each: fn(Request<'p>) -> Verdict,
) -> Verdict {
    thread::scope(|scope| {
        let tasks: Vec<_> = requests
            .into_iter()
            .map(|request| scope.spawn(move || each(request)))
            .collect();
        tasks
            .into_iter()
            .try_for_each(|task| task.join().unwrap_or_else(|_| fail("a thread broke")))
    })
}
