//! A system call that fails: strace has the kernel refuse it.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::Namespace;
use sandbox::plugin::{Answer, Call};

/// Follows threads and programs, each of which counts its own calls, and stops for the call alone.
pub const EVERYWHERE: &[&str] = &["-f", "--seccomp-bpf"];

/// Runs a call while the `nth` call of `name` fails with `errno`, and says whether there was one.
pub fn injected(
    host: &Namespace,
    call: &Call,
    (name, errno, nth): (&str, &str, usize),
    options: &[&str],
) -> (Answer, bool) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let log = std::env::temp_dir().join(format!("faults-{}-{number}", std::process::id()));
    let log_name = log.display().to_string();
    let trace = format!("trace={name}");
    let inject = format!("inject={name}:error={errno}:when={nth}");
    let strace = ["strace", "-o", &log_name, "-e", &trace, "-e", &inject];
    let answer = call.clone().under(&[&strace, options].concat()).run(host);
    let answer = answer.unwrap_or_else(|e| panic!("apt-get install strace: {e}"));
    let told = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    (answer, told.contains("(INJECTED)"))
}
