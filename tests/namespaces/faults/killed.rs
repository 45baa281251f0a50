//! SIGKILL at every system call of an ADD of iptables-nft: DEL leaves nothing of the attachment, and waits for
//! nobody, not for the program that tries conditions out either.

use serde_json::{Value, json};

use super::inject::{killed, made, traced};
use super::node::{Node, difference};
use crate::portmap::node::Backend;

/// Tries leave this chain, which no packet passes: `portmap::conditions`.
const SCRATCH: &str = "CNI-HOSTPORT-SCRATCH";

fn del_leaves_nothing_and_waits_for_nobody(keys: Value, least: usize) {
    let node = Node::new("portmap", Backend::IptablesNft, keys);
    node.does("DEL");
    let (answer, made) = made(node.host(), &node.call("ADD"), |_| false);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    node.does("DEL");
    let state = || {
        let mut state = node.state();
        state.retain(|line| !line.contains(SCRATCH));
        state
    };
    let mut kills = 0;
    for (name, nth) in &made.calls {
        kills += usize::from(killed(node.host(), &node.call("ADD"), (name, *nth)));
        let (answer, told) = traced(node.host(), &node.call("DEL"), &["-f", "-e", "trace=fcntl"]);
        assert_eq!(answer.code, Some(0), "{name} {nth}: {answer:?}");
        assert!(told.contains("F_OFD_SETLK,"), "{name} {nth}: {told}");
        assert!(!told.contains("F_OFD_SETLKW"), "{name} {nth}: {told}");
        node.close();
        assert_eq!(difference(&node.without, &state()), None, "{name} {nth}");
    }
    assert!(kills > least, "{kills}");
    node.does("GC");
    assert_eq!(difference(&node.without, &node.state()), None);
}

#[test]
fn whenever_an_add_of_iptables_nft_is_killed_del_leaves_nothing_and_waits_for_nobody() {
    del_leaves_nothing_and_waits_for_nobody(json!({}), 60);
}

#[test]
fn whenever_an_add_with_conditions_is_killed_del_leaves_nothing_and_waits_for_nobody() {
    del_leaves_nothing_and_waits_for_nobody(json!({"conditionsV4": ["-s", "10.9.0.0/24"]}), 100);
}
