//! Every system call of the verbs, and many of the operators' commands', failed once, in every thread and
//! program.
//!
//! A success means that the kernel holds what was promised. After a failure there is one error that
//! says why, the other attachment has not changed, and the same again without a fault succeeds.

use sandbox::plugin::Answer;
use serde_json::{Value, json};

use super::node::{Node, difference};
use super::trial::Trial;
use crate::portmap::node::Backend;

/// What errors say of what could not be undone.
const SAID_TO_STAY: [&str; 3] = ["roll back", "undo: ", "restore"];

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
        host: node.host(),
        title: node.title("ADD"),
        call: &|| node.call("ADD"),
        spared: &[],
        own: &[],
        begin: &|| {
            node.renew();
            node.does("DEL");
        },
        succeeded: &|_| {
            let half = difference(&node.with, &node.state());
            half.or(after_del())
        },
        failed: &|answer| {
            node.close();
            let half = difference(&node.without, &node.state());
            let left = half.is_some().then(after_del).flatten();
            let half =
                half.filter(|_| answer.code.is_some() && !answer.stdout.contains("roll back"));
            is_error(answer).or(half).or(left)
        },
    };
    trial.each();
}

/// Another ADD of what is there: it becomes what is asked for, or stays what it was.
fn replacement(mut node: Node, keys: &Value) {
    let add = node.call_with("ADD", keys).run(node.host()).unwrap();
    assert_eq!(add.code, Some(0), "{add:?}");
    // What all attachments share stays from now on.
    node.does("ADD");
    node.with = node.state();
    let node = &node;
    let changed = || node.call_with("ADD", keys);
    let back = || {
        node.if_changed(&node.with, || {
            node.does("ADD");
            difference(&node.with, &node.state())
                .map(|left| format!("after the former ADD: {left}"))
        })
    };
    assert_eq!(changed().run(node.host()).unwrap().code, Some(0));
    let wanted = node.state();
    assert_ne!(wanted, node.with);
    assert_eq!(back(), None);
    let trial = Trial {
        host: node.host(),
        title: node.title("another ADD"),
        call: &changed,
        spared: &[],
        own: &[],
        begin: &|| drop(back()),
        succeeded: &|answer| {
            let half = difference(&wanted, &node.state());
            // It harms nobody until DEL.
            let is_warned = answer.stderr.contains("msg=\"delete bw");
            half.filter(|_| !is_warned).or_else(back)
        },
        failed: &|answer| {
            let half = difference(&node.with, &node.state());
            let is_said = SAID_TO_STAY.iter().any(|text| answer.stdout.contains(text));
            let half = half.filter(|_| answer.code.is_some() && !is_said);
            is_error(answer).or(half).or_else(back)
        },
    };
    trial.each();
}

/// DEL or GC: nothing of the attachment is left, and nothing else is touched.
fn removal(node: &Node, verb: &str) {
    let trial = Trial {
        host: node.host(),
        title: node.title(verb),
        call: &|| node.call(verb),
        spared: &[],
        own: &[],
        begin: &|| node.renew(),
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
            host: node.host(),
            title: node.title(what),
            call: &|| node.call("CHECK"),
            spared: &[],
            own: &[],
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

/// STATUS of a node that lacks nothing fails with the fault alone, and leaves nothing either way.
fn status(node: &Node) {
    let left = || difference(&node.with, &node.state());
    let trial = Trial {
        host: node.host(),
        title: node.title("STATUS"),
        call: &|| node.call("STATUS"),
        spared: &[],
        own: &[],
        begin: &|| node.renew(),
        succeeded: &|_| left(),
        failed: &|answer| is_error(answer).or_else(left),
    };
    trial.each();
}

/// A table is whole, or there is an error.
fn table(node: &Node, line: &[&str]) {
    node.remember();
    let run = || node.command(line).run(node.host()).unwrap();
    let whole = run();
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let wanted = listed(&whole);
    let trial = Trial {
        host: node.host(),
        title: node.title(line[0]),
        call: &|| node.command(line),
        spared: &[],
        // Both the command and the program that it runs would fail to write: then no error can be printed.
        // A program whose list has no end: portmap::legacy.
        own: &["write"],
        begin: &|| (),
        succeeded: &|answer| difference(&wanted, &listed(answer)),
        failed: &|answer| {
            let is_silent = answer.code.is_some() && answer.stderr.is_empty();
            is_silent.then(|| "no error".to_owned())
        },
    };
    trial.some();
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
        host: node.host(),
        title: node.title("gc"),
        call: &|| node.command(&line),
        spared: &[],
        own: &[],
        begin: &|| node.renew(),
        succeeded: &|_| node.was_removed("gc"),
        failed: &|answer| {
            let left = node.if_changed(&node.with, || {
                again(node, &line).or_else(|| node.was_removed("gc"))
            });
            untold(answer).or(left)
        },
    };
    trial.some();
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
        host: node.host(),
        title: node.title("reconcile"),
        call: &|| node.command(&line),
        spared: &[],
        own: &[],
        begin: &|| {
            node.renew();
            node.does("DEL");
        },
        succeeded: &|_| repaired(),
        failed: &|answer| {
            let missing = node.if_changed(&node.without, || again(node, &line).or_else(repaired));
            untold(answer).or(missing)
        },
    };
    trial.some();
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

/// Keys of another ADD: one limit goes, one value stays as it is set.
fn other_keys(plugin: &str) -> Value {
    match plugin {
        "tuning" => json!({
            "mac": "02:aa:00:00:00:06", "mtu": 1380, "txQLen": 78,
            "sysctl": {"net.core.somaxconn": "600"},
        }),
        _ => {
            json!({"runtimeConfig": {"bandwidth": {"ingressRate": 9_000_000, "ingressBurst": 800_000}}})
        }
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
            fn another_add_makes_what_is_asked_for_or_leaves_what_was() {
                // portmap's with conditions and in one IP version: below.
                if $plugin != "portmap" {
                    replacement(whole(), &other_keys($plugin));
                }
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
            fn status_leaves_nothing_and_fails_with_an_error() {
                status(&whole());
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

/// Both IP versions, as the plugin before ours answered.
fn addresses() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "veth0"}, {"name": "eth0", "sandbox": "/n"}],
        "ips": [{"address": "10.22.0.2/16", "interface": 1},
                {"address": "fd00:22::2/64", "interface": 1}],
    })
}

/// A module of tests for each backend of portmap.
macro_rules! on_every_backend {
    ($($module:ident $backend:ident $conditions:tt;)*) => {
        $(mod $module {
            use super::*;

            fn conditions() -> Value {
                let [v4, v6] = $conditions.map(|text| text.split(' ').collect::<Vec<_>>());
                json!({"conditionsV4": v4, "conditionsV6": v6, "prevResult": addresses()})
            }

            fn node() -> Node {
                Node::new("portmap", Backend::$backend, conditions())
            }

            #[test]
            fn add_with_conditions_makes_all_or_nothing_or_says_what_stays() {
                addition(&node());
            }

            #[test]
            fn check_of_conditions_names_no_drift_that_is_none_and_misses_no_other() {
                check(&node());
            }

            #[test]
            fn del_of_conditions_leaves_nothing_or_fails() {
                removal(&node(), "DEL");
            }

            #[test]
            fn gc_of_conditions_leaves_nothing_or_fails() {
                removal(&node(), "GC");
            }

            #[test]
            fn another_add_makes_what_is_asked_for_or_leaves_what_was() {
                let (mut keys, mut one) = (conditions(), addresses());
                keys["conditionsV6"] = json!([]);
                let node = Node::new("portmap", Backend::$backend, keys);
                // Of IPv6 nothing is left.
                one["ips"].as_array_mut().unwrap().pop();
                let ports = json!([{"hostPort": 8007, "containerPort": 80, "protocol": "tcp"}]);
                replacement(node, &json!({
                    "prevResult": one, "runtimeConfig": {"portMappings": ports},
                }));
            }
        })*
    };
}

on_every_backend! {
    conditions_of_iptables_nft IptablesNft ["-s 10.9.0.1,10.9.0.2", "! -s fd98::/64"];
    conditions_of_iptables_legacy IptablesLegacy ["-s 10.9.0.1,10.9.0.2", "! -s fd98::/64"];
    conditions_of_nftables Nftables ["ip saddr 10.9.0.0/24", "ip6 saddr fd98::/64"];
}

on_every_plugin! {
    tuning "tuning" Nftables;
    bandwidth "bandwidth" Nftables;
    portmap_with_iptables_nft "portmap" IptablesNft;
    portmap_with_iptables_legacy "portmap" IptablesLegacy;
    portmap_with_nftables "portmap" Nftables;
}
