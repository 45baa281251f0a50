//! Every system call of the verbs and of the operators' commands, failed once, in every thread and
//! program.
//!
//! A success means that the kernel holds what was promised. After a failure there is one error that
//! says why, the other attachment has not changed, and the same again without a fault succeeds.

use sandbox::plugin::{Answer, Call};
use serde_json::Value;

use super::inject::{EVERYWHERE, injected};
use super::node::{Node, difference};
use crate::portmap::node::Backend;

/// What is made to fail, and how: each time with the next of the errors.
const FAULTS: &[(&str, &[&str])] = &[
    ("socket", &["EMFILE", "ENOMEM"]),
    ("bind", &["ENOMEM"]),
    ("setsockopt", &["ENOBUFS"]),
    ("getsockopt", &["ENOMEM", "EPERM"]),
    ("sendto", &["ENOMEM", "ENOBUFS"]),
    ("recvfrom", &["ENOMEM", "EINTR", "ENOBUFS"]),
    ("openat", &["EMFILE", "EACCES", "ENOMEM"]),
    // Of files: no pipe fails so, and programs have pipes.
    ("read", &["ENOMEM", "EINTR"]),
    ("getdents64", &["EIO"]),
    ("statx", &["ENOMEM", "EACCES"]),
    ("readlink", &["ENOMEM"]),
    ("write", &["EIO"]),
    ("pipe2", &["EMFILE"]),
    ("clone3", &["EAGAIN"]),
    ("setns", &["EPERM", "ENOMEM"]),
    ("unshare", &["ENOMEM"]),
    ("unlink", &["EIO", "EROFS"]),
    ("rename", &["EIO"]),
    ("flock", &["ENOLCK", "EINTR"]),
    ("poll", &["EINTR", "ENOMEM"]),
];

/// How often one call can come: more is a loop without end.
const MOST: usize = 400;

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
    /// Makes the state that it begins with.
    prepare: &'a dyn Fn(),
    /// What is wrong after a success and after a failure.
    succeeded: &'a dyn Fn(&Answer) -> Option<String>,
    failed: &'a dyn Fn(&Answer) -> Option<String>,
}

impl Trial<'_> {
    /// Lets each call fail once.
    #[allow(clippy::print_stdout, reason = "the figures")]
    fn each(&self) {
        let mut account = Account::default();
        for (name, errnos) in FAULTS {
            for nth in 1.. {
                assert!(nth < MOST, "{name} without end");
                let errno = errnos[nth % errnos.len()];
                if !self.one((name, errno, nth), &mut account) {
                    break;
                }
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

    /// Says whether there was such a call.
    fn one(&self, fault: (&str, &str, usize), account: &mut Account) -> bool {
        (self.prepare)();
        // The programs' reads are those of pipes.
        let options = if fault.0 == "read" { &[] } else { EVERYWHERE };
        let (answer, is_met) = injected(self.node.host(), &(self.call)(), fault, options);
        if !is_met {
            return false;
        }
        account.tried += 1;
        let finding = match answer.code {
            // The loader of programs is not the plugin's.
            Some(127) if answer.stderr.contains("shared librar") => None,
            Some(0 | 10) => {
                account.succeeded += 1;
                (self.succeeded)(&answer)
            }
            Some(1) => {
                account.failed += 1;
                (self.failed)(&answer)
            }
            // When there is no way back from a namespace the plugin ends at once.
            None if fault.0 == "setns" => (self.failed)(&answer),
            code => Some(format!("exit code {code:?}")),
        };
        if finding.is_some() && self.is_changing {
            self.node.renew();
        }
        let (name, errno, nth) = fault;
        let line = |finding: String| {
            let Node { plugin, place, .. } = self.node;
            let (backend, what) = (place.backend, self.what);
            let told = one_line(&format!("{} {}", answer.stdout, answer.stderr));
            format!(
                "{plugin} {backend:?} {what}: {name} {errno} #{nth}: exit {:?}: {finding} | {told}",
                answer.code
            )
        };
        account.findings.extend(finding.map(line));
        true
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
    let trial = Trial {
        node,
        what: "ADD",
        call: &|| node.call("ADD"),
        is_changing: true,
        prepare: &|| {
            if node.state() != node.without {
                node.does("DEL");
            }
        },
        succeeded: &|_| {
            let half = difference(&node.with, &node.state());
            node.does("DEL");
            let left = difference(&node.without, &node.state());
            half.or(left.map(|left| format!("after DEL: {left}")))
        },
        failed: &|answer| {
            let half = difference(&node.without, &node.state());
            let half =
                half.filter(|_| answer.code.is_some() && !answer.stdout.contains("take back"));
            node.does("DEL");
            let left = difference(&node.without, &node.state());
            let left = left.map(|left| format!("after DEL: {left}"));
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
        prepare: &|| {
            if node.state() != node.with {
                node.does("ADD");
            }
        },
        succeeded: &|_| node.is_removed(verb),
        failed: &|answer| {
            node.does(verb);
            let left = node.is_removed(verb);
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
            prepare: &|| (),
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
        prepare: &|| (),
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
        prepare: &|| {
            if node.state() != node.with {
                node.does("ADD");
            }
        },
        succeeded: &|_| node.is_removed("gc"),
        failed: &|answer| {
            let again = node.command(&line).run(node.host()).unwrap();
            told(answer, &again, node.is_removed("gc"))
        },
    };
    trial.each();
}

/// What is wrong with a command that failed, and with the same again.
fn told(answer: &Answer, again: &Answer, difference: Option<String>) -> Option<String> {
    let words = [": \"failed\"", "\"unreadable\": [\n"];
    let is_told = words.iter().any(|word| answer.stdout.contains(word));
    if answer.code.is_some() && answer.stderr.is_empty() && !is_told {
        return Some("no error".into());
    }
    match again.code {
        Some(0 | 10) => difference.map(|found| format!("after another run: {found}")),
        _ => Some(format!("another run fails: {again:?}")),
    }
}

/// `reconcile` puts back what is missing, or says what it could not.
fn repair(node: &Node) {
    node.remember();
    let line = ["reconcile", "--json"];
    let trial = Trial {
        node,
        what: "reconcile",
        call: &|| node.command(&line),
        is_changing: true,
        prepare: &|| {
            if node.state() != node.without {
                node.does("DEL");
            }
        },
        succeeded: &|_| difference(&node.with, &node.state()),
        failed: &|answer| {
            let again = node.command(&line).run(node.host()).unwrap();
            told(answer, &again, difference(&node.with, &node.state()))
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

/// A module of tests for each plugin and backend.
macro_rules! on_every_plugin {
    ($($module:ident $plugin:literal $backend:ident;)*) => {
        $(mod $module {
            use super::*;

            fn node() -> Node {
                Node::new($plugin, Backend::$backend)
            }

            #[test]
            fn add_makes_all_or_nothing_or_says_what_stays() {
                addition(&node());
            }

            #[test]
            fn del_leaves_nothing_or_fails() {
                removal(&node(), "DEL");
            }

            #[test]
            fn gc_leaves_nothing_or_fails() {
                removal(&node(), "GC");
            }

            #[test]
            fn check_names_no_drift_that_is_none_and_misses_no_other() {
                check(&node());
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
