//! Every system call of the verbs and of the operators' commands, failed once, in every thread and
//! program.
//!
//! A success means that the kernel holds what was promised. After a failure there is one error that
//! says why, the other attachment has not changed, and the same again without a fault succeeds.

use sandbox::plugin::{Answer, Call};
use serde_json::{Value, json};

use super::inject::{EVERYWHERE, Fault, injected, made};
use super::node::{Node, difference};
use crate::portmap::node::Backend;

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
    ("mkdirat", &["EROFS"]),
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
    "getrandom",
    "gettid",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "prlimit64",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
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
    tried: usize,
    succeeded: usize,
    failed: usize,
    findings: Vec<String>,
}

/// One way to run a verb or a command, and what is to be true then.
struct Trial<'a> {
    node: &'a Node,
    what: &'a str,
    call: &'a dyn Fn() -> Call,
    /// Whether it changes anything.
    is_changing: bool,
    /// Makes the state that it begins with of the one with both attachments.
    begin: &'a dyn Fn(),
    /// What is wrong after a success and after a failure. The state is as in the beginning again.
    succeeded: &'a dyn Fn(&Answer) -> Option<String>,
    failed: &'a dyn Fn(&Answer) -> Option<String>,
}

impl Trial<'_> {
    /// Lets each call fail once.
    #[allow(clippy::print_stdout, reason = "the figures")]
    fn each(&self) {
        (self.begin)();
        let mut account = Account::default();
        let is_counted = |name: &str| OF_PROGRAMS.contains(&name);
        let (answer, made) = made(self.node.host(), &(self.call)(), is_counted);
        assert_eq!(self.judged(&answer, &mut account), None, "{answer:?}");
        account = Account::default();
        for (name, nth) in &made {
            let fault = FAULTS.iter().find(|(known, _)| known == name);
            match fault {
                Some((name, errnos)) => {
                    self.one((name, errnos[nth % errnos.len()], *nth), &mut account);
                }
                None => assert!(SPARED.contains(&name.as_str()), "how does {name} fail?"),
            }
        }
        let Account {
            tried,
            succeeded,
            failed,
            findings,
        } = account;
        let title = format!(
            "{} {:?} {}",
            self.node.plugin, self.node.place.backend, self.what
        );
        println!("{title}: {tried} calls failed: {succeeded} successes, {failed} errors");
        assert!(tried > 10, "{title}: only {tried}");
        let list = findings.join("\n");
        assert!(
            findings.is_empty(),
            "{title}: {} findings\n{list}",
            findings.len()
        );
    }

    fn one(&self, fault: Fault<'_>, account: &mut Account) {
        let (name, errno, nth) = fault;
        // The programs' reads are those of pipes.
        let options = if name == "read" { &[] } else { EVERYWHERE };
        let (answer, is_met) = injected(self.node.host(), &(self.call)(), fault, options);
        account.tried += usize::from(is_met);
        let Some(finding) = self.judged(&answer, account) else {
            return;
        };
        if self.is_changing {
            self.node.renew();
            (self.begin)();
        }
        let Node { plugin, place, .. } = self.node;
        let (backend, what) = (place.backend, self.what);
        let told = one_line(&format!("{} {}", answer.stdout, answer.stderr));
        account.findings.push(format!(
            "{plugin} {backend:?} {what}: {name} {errno} #{nth}: exit {:?}: {finding} | {told}",
            answer.code
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
            // When there is no way back from a namespace the plugin ends at once.
            None => {
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

/// One error, as a runtime wants it.
fn is_error(answer: &Answer) -> Option<String> {
    // The answer itself could not be written.
    let is_lost = answer.stdout.is_empty() && answer.stderr.contains("outcome=refused");
    match serde_json::from_str::<Value>(&answer.stdout) {
        Ok(error) if error["msg"].as_str().is_some_and(|msg| !msg.is_empty()) => None,
        _ if answer.code.is_none() || is_lost => None,
        _ if answer.stdout.is_empty() => Some("no answer".into()),
        _ => Some("the answer is no error".into()),
    }
}

/// ADD: the attachment is whole, or the node is as before, or the error says what could not be taken back.
fn addition(node: &Node) {
    let after_del = || {
        node.does("DEL");
        let left = difference(&node.without, &node.state());
        left.map(|left| format!("after DEL: {left}"))
    };
    let trial = Trial {
        node,
        what: "ADD",
        call: &|| node.call("ADD"),
        is_changing: true,
        begin: &|| node.does("DEL"),
        succeeded: &|_| {
            let half = difference(&node.with, &node.state());
            half.or(after_del())
        },
        failed: &|answer| {
            node.close();
            let half = difference(&node.without, &node.state());
            let left = half.is_some().then(after_del).flatten();
            let half =
                half.filter(|_| answer.code.is_some() && !answer.stdout.contains("take back"));
            is_error(answer).or(half).or(left)
        },
    };
    trial.each();
}

/// DEL or GC: nothing of the attachment is left, and nothing else is touched.
fn removal(node: &Node, verb: &str) {
    let trial = Trial {
        node,
        what: verb,
        call: &|| node.call(verb),
        is_changing: true,
        begin: &|| (),
        succeeded: &|_| node.was_removed(verb),
        failed: &|answer| {
            let left = node.if_changed(&node.with, || {
                node.does(verb);
                node.was_removed(verb)
            });
            let left = left.map(|left| format!("after another {verb}: {left}"));
            is_error(answer).or(left)
        },
    };
    trial.each();
}

/// CHECK of what is in order fails with the fault alone, and never succeeds where all is missing.
fn check(node: &Node) {
    let trial = |what, succeeded, failed| {
        let trial = Trial {
            node,
            what,
            call: &|| node.call("CHECK"),
            is_changing: false,
            begin: &|| (),
            succeeded,
            failed,
        };
        trial.each();
    };
    trial("CHECK in order", &|_| None, &|answer| {
        let is_drift = answer.stdout.contains("\"code\": 101,");
        let drift = is_drift.then(|| "a drift that is none".to_owned());
        drift.or(is_error(answer))
    });
    assert_eq!(node.state(), node.with);
    node.does("DEL");
    let wrong = |_: &Answer| Some("nothing is there".to_owned());
    trial("CHECK of nothing", &wrong, &is_error);
    assert_eq!(node.state(), node.without);
}

/// A table is whole, or there is an error.
fn table(node: &Node, line: &[&str]) {
    node.remember();
    let run = || node.command(line).run(node.host()).unwrap();
    let whole = run();
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let wanted = listed(&whole);
    let trial = Trial {
        node,
        what: line[0],
        call: &|| node.command(line),
        is_changing: false,
        begin: &|| (),
        succeeded: &|answer| difference(&wanted, &listed(answer)),
        failed: &|answer| {
            let is_silent = answer.code.is_some() && answer.stderr.is_empty();
            is_silent.then(|| "no error".to_owned())
        },
    };
    trial.each();
}

/// The lines of a document, but for what is counted.
fn listed(answer: &Answer) -> Vec<String> {
    let counts = [
        "command",
        "packets",
        "bytes",
        "sent",
        "dropped",
        "overlimits",
        "backlog",
        "pid",
    ];
    let is_count = |line: &&str| counts.iter().any(|count| line.contains(count));
    let lines = answer.stdout.lines().filter(|line| !is_count(line));
    lines.map(str::to_owned).collect()
}

/// `gc` removes what the cache does not have, or says what it could not.
fn collection(node: &Node) {
    let line = ["gc", "--grace", "0", "--json"];
    let trial = Trial {
        node,
        what: "gc",
        call: &|| node.command(&line),
        is_changing: true,
        begin: &|| (),
        succeeded: &|_| node.was_removed("gc"),
        failed: &|answer| {
            let left = node.if_changed(&node.with, || {
                again(node, &line).or_else(|| node.was_removed("gc"))
            });
            untold(answer).or(left)
        },
    };
    trial.each();
}

/// A command that failed says so.
fn untold(answer: &Answer) -> Option<String> {
    let words = [": \"failed\"", "\"unreadable\": [\n"];
    let is_told = words.iter().any(|word| answer.stdout.contains(word));
    let is_silent = answer.code.is_some() && answer.stderr.is_empty() && !is_told;
    is_silent.then(|| "no error".to_owned())
}

/// What is wrong with a command that runs again without a fault.
fn again(node: &Node, line: &[&str]) -> Option<String> {
    let again = node.command(line).run(node.host()).unwrap();
    let is_done = matches!(again.code, Some(0 | 10));
    (!is_done).then(|| format!("another run fails: {again:?}"))
}

/// `reconcile` puts back what is missing, or says what it could not.
fn repair(node: &Node) {
    node.remember();
    let line = ["reconcile", "--json"];
    let repaired = || {
        let missing = difference(&node.with, &node.state());
        node.does("DEL");
        missing
    };
    let trial = Trial {
        node,
        what: "reconcile",
        call: &|| node.command(&line),
        is_changing: true,
        begin: &|| node.does("DEL"),
        succeeded: &|_| repaired(),
        failed: &|answer| {
            let missing = node.if_changed(&node.without, || again(node, &line).or_else(repaired));
            untold(answer).or(missing)
        },
    };
    trial.each();
}

/// The command that shows what a plugin has made.
fn listing(plugin: &str) -> &'static str {
    match plugin {
        "portmap" => "ports",
        "bandwidth" => "limits",
        _ => "sysctls",
    }
}

/// More keys than those of the node's configuration.
fn keys(plugin: &str) -> Value {
    match plugin {
        "tuning" => json!({
            "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true, "txQLen": 77,
            "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"},
        }),
        _ => json!({}),
    }
}

/// A module of tests for each plugin and backend.
macro_rules! on_every_plugin {
    ($($module:ident $plugin:literal $backend:ident;)*) => {
        $(mod $module {
            use super::*;

            fn node() -> Node {
                Node::new($plugin, Backend::$backend, json!({}))
            }

            /// With all keys that the plugin has.
            fn whole() -> Node {
                Node::new($plugin, Backend::$backend, keys($plugin))
            }

            #[test]
            fn add_makes_all_or_nothing_or_says_what_stays() {
                addition(&whole());
            }

            #[test]
            fn del_leaves_nothing_or_fails() {
                removal(&whole(), "DEL");
            }

            #[test]
            fn gc_leaves_nothing_or_fails() {
                removal(&whole(), "GC");
            }

            #[test]
            fn check_names_no_drift_that_is_none_and_misses_no_other() {
                check(&whole());
            }

            #[test]
            fn list_is_whole_or_fails() {
                table(&node(), &[listing($plugin), "--json"]);
            }

            #[test]
            fn who_names_all_owners_or_fails() {
                if $plugin == "portmap" {
                    table(&node(), &["who", "8001", "--json"]);
                }
            }

            #[test]
            fn the_command_gc_leaves_nothing_dead_or_fails() {
                collection(&node());
            }

            #[test]
            fn reconcile_puts_everything_back_or_fails() {
                repair(&node());
            }
        })*
    };
}

on_every_plugin! {
    tuning "tuning" Nftables;
    bandwidth "bandwidth" Nftables;
    portmap_with_iptables_nft "portmap" IptablesNft;
    portmap_with_iptables_legacy "portmap" IptablesLegacy;
    portmap_with_nftables "portmap" Nftables;
}
