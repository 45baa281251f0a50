//! Something happens while a plugin is at work: strace stops it before one of its system calls, and it
//! goes on when that is done.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox::plugin::{Answer, Call, Running};
use sandbox::{Namespace, wait_until};

/// Runs `call` and does `meanwhile` before the `nth` request that a thread of it makes of the kernel. None when there are fewer.
pub fn held_at(
    host: &Namespace,
    call: &Call,
    nth: usize,
    meanwhile: impl FnOnce(),
) -> Option<Answer> {
    held(
        host,
        call,
        ("sendto", &nth.to_string(), "", 1),
        &["-f"],
        meanwhile,
    )
}

/// Runs `call` and does `meanwhile` before the `nth` system call of a name. None when there are fewer.
pub fn held_before(
    host: &Namespace,
    call: &Call,
    (name, nth): (&str, usize),
    meanwhile: impl FnOnce(),
) -> Option<Answer> {
    held(host, call, (name, &nth.to_string(), "", 1), &[], meanwhile)
}

/// Runs `call` and does `meanwhile` before the nth system call of a name that strace shows with a
/// text. None when there are not so many.
pub fn held_when(
    host: &Namespace,
    call: &Call,
    (name, text, nth): (&str, &str, usize),
    meanwhile: impl FnOnce(),
) -> Option<Answer> {
    held(host, call, (name, "1+", text, nth), &[], meanwhile)
}

/// Waits until a plugin waits for its turn, and says so, or is at its end.
pub fn until_it_waits(running: &Running) -> bool {
    let process = format!("/proc/{}", running.id().unwrap());
    // One of its threads waits for the lock.
    let waits = || {
        let tasks = fs::read_dir(format!("{process}/task"))
            .into_iter()
            .flatten();
        let mut places = tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("wchan")).ok());
        places.any(|place| place.contains("setlk"))
    };
    let has_ended = || {
        let stat = fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
        stat.contains(") Z ")
    };
    assert!(wait_until(Duration::from_secs(60), || waits() || has_ended()));
    !has_ended()
}

fn held(
    host: &Namespace,
    call: &Call,
    (name, when, text, nth): (&str, &str, &str, usize),
    threads: &[&str],
    meanwhile: impl FnOnce(),
) -> Option<Answer> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let log = std::env::temp_dir().join(format!("held-{}-{number}", std::process::id()));
    let log_name = log.display().to_string();
    let inject = format!("inject={name}:signal=SIGSTOP:when={when}");
    let trace = format!("trace={name},execve");
    let strace = ["strace", "-o", &log_name, "-e", &trace, "-e", &inject];
    let running = call
        .clone()
        .under(&[&strace, threads].concat())
        .spawn(host)
        .unwrap();
    let tracer = running.id().unwrap();
    let told = || fs::read_to_string(&log).unwrap_or_default();
    // Every thread stops for one signal.
    let stops = |told: &str| {
        let signals = told.split("--- SIGSTOP {").skip(1);
        signals
            .filter(|rest| rest.contains("stopped by SIGSTOP"))
            .count()
    };
    // Threads end, too; the first line is the start of the plugin.
    let has_ended = |told: &str| {
        let first = told.split(' ').next().unwrap_or_default();
        let plugin = if threads.is_empty() { "+++" } else { first };
        let mut lines = told.lines();
        lines.any(|line| line.starts_with(plugin) && line.contains("exited with"))
    };
    let mut meanwhile = Some(meanwhile);
    let mut seen = 0;
    loop {
        wait_until(Duration::from_secs(60), || {
            stops(&told()) > seen || has_ended(&told())
        });
        let told = told();
        if stops(&told) == seen {
            break;
        }
        seen += 1;
        let called = format!("{name}(");
        let calls: Vec<&str> = told.lines().filter(|line| line.contains(&called)).collect();
        let is_it = |line: &&&str| line.contains(text);
        if calls.last().as_ref().is_some_and(is_it)
            && (text.is_empty() || calls.iter().filter(is_it).count() == nth)
            && let Some(meanwhile) = meanwhile.take()
        {
            meanwhile();
        }
        let children = format!("/proc/{tracer}/task/{tracer}/children");
        let plugin = fs::read_to_string(children).unwrap();
        host.sh(["kill", "-CONT", plugin.trim()]);
    }
    let answer = running.wait().unwrap();
    let _ = fs::remove_file(&log);
    meanwhile.is_none().then_some(answer)
}
