//! What fails for good: a process that gets no more sockets can neither go on nor take back what it did.

use sandbox::plugin::{Answer, Call};
use serde_json::json;

use super::node::{Node, difference};
use crate::portmap::node::Backend;

/// Runs a call while it gets no socket, once or from then on, at each place of its own; `judge` says whether the
/// run met what the test is about.
#[track_caller]
fn without_sockets(
    call: impl Fn() -> Call,
    node: &Node,
    when: &str,
    mut judge: impl FnMut(usize, &Answer) -> bool,
) {
    let mut met = 0;
    for nth in 1..30 {
        let how = format!("error=ENOMEM:when={nth}{when}");
        let answer = call().injected("socket", &how).run(node.host()).unwrap();
        met += usize::from(judge(nth, &answer));
    }
    assert!(met > 0, "nothing that this is about");
}

/// A failed ADD that leaves its rules says so, and DEL removes them.
fn what_cannot_be_rolled_back_is_named(backend: Backend) {
    let node = Node::new("portmap", backend, json!({}));
    node.does("DEL");
    without_sockets(
        || node.call("ADD"),
        &node,
        "+",
        |nth, answer| {
            node.close();
            let left = difference(&node.without, &node.state());
            let is_left = answer.code == Some(1) && left.is_some();
            if is_left {
                assert!(
                    answer.stdout.contains("roll back"),
                    "{nth}: {left:?}, {answer:?}"
                );
            }
            node.does("DEL");
            assert_eq!(difference(&node.without, &node.state()), None, "{nth}");
            is_left
        },
    );
}

#[test]
fn what_iptables_nft_cannot_roll_back_is_named() {
    what_cannot_be_rolled_back_is_named(Backend::IptablesNft);
}

#[test]
fn what_nftables_cannot_roll_back_is_named() {
    what_cannot_be_rolled_back_is_named(Backend::Nftables);
}

/// Nothing has drifted; what could not be looked at has failed.
#[test]
fn a_dry_reconcile_names_no_drift_where_it_could_not_look() {
    for plugin in ["portmap", "bandwidth"] {
        let node = Node::new(plugin, Backend::Nftables, json!({}));
        node.remember();
        let line = ["reconcile", "--dry-run", "--json"];
        without_sockets(
            || node.command(&line),
            &node,
            "",
            |nth, answer| {
                assert!(
                    !answer.stdout.contains("\"drifted\""),
                    "{plugin} {nth}: {answer:?}"
                );
                assert!(
                    matches!(answer.code, Some(0 | 1)),
                    "{plugin} {nth}: {answer:?}"
                );
                answer.stdout.contains("\"failed\"")
            },
        );
    }
}

#[test]
fn a_limit_that_was_changed_in_part_is_named() {
    let node = Node::new("bandwidth", Backend::Nftables, json!({}));
    node.remember();
    let id = node.place.id(0);
    let line = ["limit", &id, "--ingress", "20M", "--egress", "none"];
    without_sockets(
        || node.place.tool(&line),
        &node,
        "",
        |nth, answer| {
            let changed = difference(&node.with, &node.state());
            let is_partial = answer.code == Some(1) && changed.is_some();
            if is_partial {
                let is_said = answer.stderr.contains("the new ones are set");
                assert!(is_said, "{nth}: {changed:?}, {answer:?}");
            }
            node.renew();
            is_partial
        },
    );
}
