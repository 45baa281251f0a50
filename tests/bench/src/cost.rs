//! What a verb costs besides time: system calls, programs, memory.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use nix::libc::PTRACE_EVENT_EXIT;
use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use sandbox::Namespace;

use crate::run::Call;
use crate::scenario::{Scenario, Side};

/// What one execution costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// System calls, of the plugin and of what it executes.
    pub calls: usize,
    /// Programs that it starts.
    pub programs: usize,
    /// The plugin's largest resident set, in KiB.
    pub peak: u64,
}

/// The costs of a verb.
pub struct Costs {
    /// The verb.
    pub verb: &'static str,
    /// Ours.
    pub ours: Cost,
    /// The reference's, where it serves the verb.
    pub reference: Option<Cost>,
}

/// The costs of every verb of a scenario: each is run twice, under strace and under ptrace.
///
/// # Errors
/// When a call fails, or strace is missing.
pub fn of(scenario: &Scenario) -> io::Result<Vec<Costs>> {
    let ours = side(scenario, Side::Ours)?;
    let reference = side(scenario, Side::Reference)?;
    let both = scenario.verbs.iter().zip(ours).zip(reference);
    both.map(|((verb, ours), reference)| {
        let ours = ours.ok_or_else(|| io::Error::other(format!("ours has no {verb}")))?;
        Ok(Costs {
            verb,
            ours,
            reference,
        })
    })
    .collect()
}

fn side(scenario: &Scenario, side: Side) -> io::Result<Vec<Option<Cost>>> {
    let host = scenario.pods.host(side);
    let counts = each(scenario, side, |call| traced(call, host))?;
    let peaks = each(scenario, side, |call| host.run(|| peak(call)))?;
    let both = counts.into_iter().zip(peaks);
    Ok(both
        .map(|(count, peak)| {
            let (calls, programs) = count?;
            let peak = peak?;
            Some(Cost {
                calls,
                programs,
                peak,
            })
        })
        .collect())
}

/// A round of the scenario's verbs; none for those that the side cannot serve.
fn each<T>(
    scenario: &Scenario,
    side: Side,
    measure: impl Fn(&Call) -> io::Result<T>,
) -> io::Result<Vec<Option<T>>> {
    scenario.pods.prepare(side)?;
    let of_verb = |verb: &&str| match scenario.pods.has(side, verb) {
        true => measure(&scenario.pods.call(side, verb)).map(Some),
        false => Ok(None),
    };
    scenario.verbs.iter().map(of_verb).collect()
}

/// System calls and programs, as strace sees them.
fn traced(call: &Call, host: &Namespace) -> io::Result<(usize, usize)> {
    let dir = std::env::temp_dir().join(format!("bench-trace-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let counted = traced_in(call, host, &dir);
    fs::remove_dir_all(&dir)?;
    counted
}

fn traced_in(call: &Call, host: &Namespace, dir: &Path) -> io::Result<(usize, usize)> {
    let (log, input) = (dir.join("log"), dir.join("stdin"));
    fs::write(&input, &call.stdin)?;
    let status = host
        .command("/usr/bin/strace")
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .arg(&call.program)
        .args(&call.args)
        .envs(call.env.iter().map(|(key, value)| (key, value)))
        .stdin(fs::File::open(&input)?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(call.failed("it fails under strace"));
    }
    let log = fs::read_to_string(&log)?;
    Ok(count(&log))
}

/// A call that another thread interrupts has two lines, the second one of which is `resumed`.
fn count(log: &str) -> (usize, usize) {
    let is_call = |line: &&str| line.contains('(') && !line.contains(" resumed>");
    let is_start = |line: &&str| line.contains("execve") && line.ends_with("= 0");
    let programs = log.lines().filter(is_start).count();
    (
        log.lines().filter(is_call).count(),
        programs.saturating_sub(1),
    )
}

/// The largest resident set in KiB, read while the plugin ends.
fn peak(call: &Call) -> io::Result<u64> {
    let mut child = call.spawn()?;
    let id = i32::try_from(child.id()).map_err(io::Error::other)?;
    let pid = Pid::from_raw(id);
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT)?;
    // It waits for its configuration, so nothing has happened yet.
    call.feed(&mut child)?;
    let mut peak = None;
    loop {
        match waitpid(pid, None)? {
            WaitStatus::PtraceEvent(_, _, PTRACE_EVENT_EXIT) => {
                peak = Some(high_water(id)?);
                ptrace::cont(pid, None)?;
            }
            WaitStatus::PtraceEvent(..) => ptrace::cont(pid, None)?,
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal)?,
            WaitStatus::Exited(_, 0) => break,
            ended => return Err(call.failed(&format!("it fails under ptrace: {ended:?}"))),
        }
    }
    peak.ok_or_else(|| call.failed("it ended unseen"))
}

fn high_water(id: i32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/{id}/status has no VmHWM")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_once_and_programs_without_the_plugin() {
        let log = "7 execve(\"/a\") = 0\n7 read(0,  <unfinished ...>\n8 execve(\"/b\" <unfinished ...>\n\
                   7 <... read resumed> \"\", 1) = 0\n8 <... execve resumed>) = 0\n8 +++ exited with 0 +++\n";
        assert_eq!(count(log), (3, 1));
    }
}
