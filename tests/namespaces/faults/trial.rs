//! Every system call of a run, failed once.

use sandbox::Namespace;
use sandbox::plugin::{Answer, Call};

use super::inject::{EVERYWHERE, Fault, injected, made};

/// What is made to fail, and how: each time with the next of the errors.
const FAULTS: &[(&str, &[&str])] = &[
    ("socket", &["EMFILE", "ENOMEM"]),
    ("bind", &["ENOMEM"]),
    ("connect", &["ENOMEM"]),
    ("setsockopt", &["ENOBUFS"]),
    ("getsockopt", &["ENOMEM", "EPERM"]),
    ("sendto", &["ENOMEM", "ENOBUFS"]),
    ("recvfrom", &["ENOMEM", "EINTR", "ENOBUFS"]),
    ("openat", &["EMFILE", "EACCES", "ENOMEM"]),
    // Of files: no pipe fails so, and programs have pipes.
    ("read", &["ENOMEM", "EINTR"]),
    ("getdents64", &["EIO"]),
    ("statx", &["ENOMEM", "EACCES"]),
    ("newfstatat", &["ENOMEM"]),
    ("fstatfs", &["EIO"]),
    ("fcntl", &["EMFILE"]),
    ("ioctl", &["ENOMEM"]),
    ("readlink", &["ENOMEM"]),
    ("write", &["EIO", "ENOSPC"]),
    ("pipe2", &["EMFILE"]),
    ("clone3", &["EAGAIN"]),
    ("setns", &["EPERM", "ENOMEM"]),
    ("unshare", &["ENOMEM"]),
    ("mkdir", &["EROFS"]),
    ("mkdirat", &["EROFS"]),
    ("fchmod", &["EIO"]),
    ("fsync", &["EIO"]),
    ("rmdir", &["EIO"]),
    ("unlink", &["EIO", "EROFS"]),
    ("rename", &["EIO"]),
    ("renameat2", &["EIO"]),
    ("flock", &["ENOLCK", "EINTR"]),
    ("poll", &["EINTR", "ENOMEM"]),
];

/// Those that cannot fail, or without which no program goes on; and what only waits.
const SPARED: &[&str] = &[
    "arch_prctl",
    "brk",
    "clock_nanosleep",
    "close",
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "getrandom",
    "gettid",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "wait4",
];

/// Those that count in other programs, too: `faults::programs` lets programs fail as a whole.
const OF_PROGRAMS: &[&str] = &["socket", "setsockopt", "getsockopt", "sendto", "flock"];

/// What was tried, and what was found.
#[derive(Default)]
struct Account {
    succeeded: usize,
    failed: usize,
    findings: Vec<String>,
}

/// One way to run a verb or a command, and what is to be true then.
pub struct Trial<'a> {
    pub host: &'a Namespace,
    /// What the figures are about.
    pub title: String,
    pub call: &'a dyn Fn() -> Call,
    /// Calls that cannot fail here.
    pub spared: &'a [&'a str],
    /// Calls that fail in the process itself alone, in none of the programs that it runs.
    pub own: &'a [&'a str],
    /// Makes the state that it begins with: first, and after whatever was found wrong.
    pub begin: &'a dyn Fn(),
    /// What is wrong after a success and after a failure. The state is as in the beginning again.
    pub succeeded: &'a dyn Fn(&Answer) -> Option<String>,
    pub failed: &'a dyn Fn(&Answer) -> Option<String>,
}

impl Trial<'_> {
    /// Lets each call fail once.
    pub fn each(&self) {
        self.at_most(usize::MAX);
    }

    /// Of a command's many alike, such as the messages for one attachment after the other, lets some fail.
    pub fn some(&self) {
        self.at_most(40);
    }

    /// Lets so many calls of each name fail, evenly spread over the run.
    #[allow(clippy::print_stdout, reason = "the figures")]
    fn at_most(&self, most: usize) {
        (self.begin)();
        let mut account = Account::default();
        let is_counted = |name: &str| OF_PROGRAMS.contains(&name);
        let (answer, made) = made(self.host, &(self.call)(), is_counted);
        assert_eq!(self.judged(&answer, &mut account), None, "{answer:?}");
        account = Account::default();
        for (name, nth) in made.spread(most) {
            if self.spared.contains(&name) {
                continue;
            }
            let fault = FAULTS.iter().find(|(known, _)| *known == name);
            match fault {
                Some((name, errnos)) => {
                    let fault = (*name, errnos[nth % errnos.len()], nth);
                    self.one(fault, made.has_programs, &mut account);
                }
                None => assert!(SPARED.contains(&name), "how does {name} fail?"),
            }
        }
        let Account {
            succeeded,
            failed,
            findings,
        } = account;
        let (title, tried) = (&self.title, succeeded + failed);
        println!("{title}: {tried} calls failed: {succeeded} successes, {failed} errors");
        assert!(tried > 10, "{title}: only {tried}");
        let list = findings.join("\n");
        assert!(
            findings.is_empty(),
            "{title}: {} findings\n{list}",
            findings.len()
        );
    }

    fn one(&self, fault: Fault<'_>, has_programs: bool, account: &mut Account) {
        let (name, errno, nth) = fault;
        // The programs' reads are those of pipes. Without programs it is met in every thread.
        let is_own = has_programs && (name == "read" || self.own.contains(&name));
        let options = if is_own { &[] } else { EVERYWHERE };
        let (answer, is_met) = injected(self.host, &(self.call)(), fault, options);
        let mut unmet = Account::default();
        let figures = if is_met { &mut *account } else { &mut unmet };
        let Some(finding) = self.judged(&answer, figures) else {
            return;
        };
        (self.begin)();
        let told = one_line(&format!("{} {}", answer.stdout, answer.stderr));
        account.findings.push(format!(
            "{}: {name} {errno} #{nth}: exit {:?}: {finding} | {told}",
            self.title, answer.code
        ));
    }

    /// What is wrong with an answer.
    fn judged(&self, answer: &Answer, account: &mut Account) -> Option<String> {
        match answer.code {
            Some(0 | 10) => {
                account.succeeded += 1;
                (self.succeeded)(answer)
            }
            Some(1) => {
                account.failed += 1;
                (self.failed)(answer)
            }
            code => Some(format!("exit code {code:?}")),
        }
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}
