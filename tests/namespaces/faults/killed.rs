//! SIGKILL at every system call of an ADD of iptables-nft: DEL leaves nothing of the attachment, and waits for
//! nobody, not for the program that tries conditions out either.

use serde_json::{Value, json};

use super::inject::{killed_at_each, traced};
use super::node::{Node, difference};
use crate::portmap::node::Backend;

/// Tries leave this chain, which no packet passes: `portmap::conditions`.
const SCRATCH: &str = "CNI-HOSTPORT-SCRATCH";

fn del_leaves_nothing_and_waits_for_nobody(keys: Value, least: usize) {
    let node = Node::new("portmap", Backend::IptablesNft, keys);
    let state = || {
        let mut state = node.state();
        state.retain(|line| !line.contains(SCRATCH));
        state
    };
    node.does("DEL");
    let add = node.call("ADD");
    let kills = killed_at_each(
        node.host(),
        &add,
        || (),
        |at| {
            let (answer, seen) =
                traced(node.host(), &node.call("DEL"), &["-f", "-e", "trace=fcntl"]);
            assert_eq!(answer.code, Some(0), "{at}: {answer:?}");
            assert!(seen.contains("F_OFD_SETLK,"), "{at}: {seen}");
            assert!(!seen.contains("F_OFD_SETLKW"), "{at}: {seen}");
            node.close();
            assert_eq!(difference(&node.without, &state()), None, "{at}");
        },
    );
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
