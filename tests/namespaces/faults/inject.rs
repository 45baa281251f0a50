//! A system call that fails: strace has the kernel refuse it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::Namespace;
use sandbox::plugin::{Answer, Call};

/// A system call that fails: its name, the error, and which of those of each thread and program it is.
pub type Fault<'a> = (&'a str, &'a str, usize);

/// Follows threads and programs, each of which counts its own calls, and stops for the call alone.
pub const EVERYWHERE: &[&str] = &["-f", "--seccomp-bpf"];

/// Runs a call while one system call fails, and says whether there was one.
pub fn injected(
    host: &Namespace,
    call: &Call,
    (name, errno, nth): Fault<'_>,
    options: &[&str],
) -> (Answer, bool) {
    let trace = format!("trace={name}");
    let inject = format!("inject={name}:error={errno}:when={nth}");
    let (answer, told) = traced(
        host,
        call,
        &[options, &["-e", &trace, "-e", &inject]].concat(),
    );
    (answer, told.contains("(INJECTED)"))
}

/// Kills a call when it begins a system call: each one that its own threads make once it has read its input, in a
/// run of its own. Each run has `begin` before it and `then` after it, which gets the system call. Programs that
/// the call has started go on; where it starts some, only its main thread's calls count. Gives how many runs were
/// killed: at least half, as only calls that wait for others come at one time and not at another.
#[track_caller]
pub fn killed_at_each(
    host: &Namespace,
    call: &Call,
    begin: impl Fn(),
    mut then: impl FnMut(&str),
) -> usize {
    begin();
    let (answer, made) = made(host, call, |_| false);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    then("none");
    // With --seccomp-bpf strace sends no signal.
    let follow: &[&str] = if made.has_programs { &[] } else { &["-f"] };
    let mut killed = 0;
    for (name, nth) in &made.calls {
        begin();
        let trace = format!("trace={name}");
        let inject = format!("inject={name}:signal=SIGKILL:when={nth}");
        let (_, seen) = traced(
            host,
            call,
            &[follow, &["-e", &trace, "-e", &inject]].concat(),
        );
        killed += usize::from(seen.contains("killed by SIGKILL"));
        then(&format!("{name} {nth}"));
    }
    let all = made.calls.len();
    assert!(killed * 2 >= all, "{killed} of {all} runs were killed");
    killed
}

/// Runs a call, and gives what strace reports of it.
pub fn traced(host: &Namespace, call: &Call, options: &[&str]) -> (Answer, String) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let log = std::env::temp_dir().join(format!("faults-{}-{number}", std::process::id()));
    let log_name = log.display().to_string();
    let strace = [&["strace", "-o", &log_name], options].concat();
    let answer = call.clone().under(&strace).run(host);
    let answer = answer.unwrap_or_else(|e| panic!("apt-get install strace: {e}"));
    let told = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    (answer, told)
}

/// The system calls of a run.
pub struct Made {
    /// Each name with the places at which a thread or a program makes it.
    pub calls: BTreeSet<(String, usize)>,
    /// Whether other programs were run.
    pub has_programs: bool,
}

impl Made {
    /// Of each name at most so many, evenly spread.
    pub fn spread(&self, most: usize) -> impl Iterator<Item = (&str, usize)> {
        let calls: Vec<_> = self.calls.iter().collect();
        let names = calls.chunk_by(|(one, _), (other, _)| one == other);
        let some = names.flat_map(|of_name| {
            let count = of_name.len().min(most);
            let places = (0..count).map(move |at| at * of_name.len() / count);
            places.map(|place| of_name[place])
        });
        let some: Vec<_> = some.map(|(name, nth)| (name.as_str(), *nth)).collect();
        some.into_iter()
    }
}

/// Runs a call without a fault, and gives what it makes once it has read its input: of the plugin's own
/// threads all calls, of other programs those that `counts` even there.
pub fn made(host: &Namespace, call: &Call, counts: impl Fn(&str) -> bool) -> (Answer, Made) {
    let (answer, told) = traced(host, call, &["-f"]);
    let calls: Vec<(&str, &str)> = told.lines().filter_map(entered).collect();
    let is_main = |who: &str| calls.first().is_some_and(|(first, _)| *first == who);
    let started: BTreeSet<&str> = calls
        .iter()
        .filter(|(who, what)| what.starts_with("execve(") && !is_main(who))
        .map(|(who, _)| *who)
        .collect();
    // A command reads no input.
    let is_end = |(who, what): &(&str, &str)| is_main(who) && what.starts_with("read(0, \"\"");
    let begin = calls.iter().position(is_end).unwrap_or(0);
    let (mut made, mut counted) = (BTreeSet::new(), BTreeMap::new());
    for (place, (who, what)) in calls.iter().enumerate() {
        let name = what.split('(').next().unwrap_or_default();
        let nth = counted.entry((who, name)).or_insert(0);
        *nth += 1;
        if place > begin && (counts(name) || !started.contains(who)) {
            made.insert((name.to_owned(), *nth));
        }
    }
    let made = Made {
        calls: made,
        has_programs: !started.is_empty(),
    };
    (answer, made)
}

/// Who makes a system call, and the call; `None` for the rest of a call that took a while, and for ends.
fn entered(line: &str) -> Option<(&str, &str)> {
    let (who, what) = line.split_once(' ')?;
    let what = what.trim_start();
    what.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        .then_some((who, what))
}
