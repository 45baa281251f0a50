//! Something happens while a plugin is at work: strace stops it before one of its system calls, and it
//! goes on when that is done.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox::plugin::{Answer, Call};
use sandbox::{Namespace, wait_until};

/// Runs `call` and does `meanwhile` before the `nth` request to the kernel. None when there are fewer.
pub fn held_at(
    host: &Namespace,
    call: &Call,
    nth: usize,
    meanwhile: impl FnOnce(),
) -> Option<Answer> {
    held_before(host, call, ("sendto", nth), meanwhile)
}

/// Runs `call` and does `meanwhile` before the `nth` system call of a name. None when there are fewer.
pub fn held_before(
    host: &Namespace,
    call: &Call,
    (name, nth): (&str, usize),
    meanwhile: impl FnOnce(),
) -> Option<Answer> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let log = std::env::temp_dir().join(format!("held-{}-{number}", std::process::id()));
    let log_name = log.display().to_string();
    let inject = format!("inject={name}:signal=SIGSTOP:when={nth}");
    let trace = format!("trace={name}");
    let strace = ["strace", "-o", &log_name, "-e", &trace, "-e", &inject];
    let running = call.clone().under(&strace).spawn(host).unwrap();
    let tracer = running.id().unwrap();
    let told = || fs::read_to_string(&log).unwrap_or_default();
    let stopped = || told().contains("stopped by SIGSTOP");
    wait_until(Duration::from_secs(60), || {
        stopped() || told().contains("exited with")
    });
    let came_that_far = stopped();
    if came_that_far {
        meanwhile();
        let children = format!("/proc/{tracer}/task/{tracer}/children");
        let plugin = fs::read_to_string(children).unwrap();
        host.sh(["kill", "-CONT", plugin.trim()]);
    }
    let answer = running.wait().unwrap();
    let _ = fs::remove_file(&log);
    came_that_far.then_some(answer)
}
