//! Whole chains as real clients called them: every call of ours in the order and with the bytes that were
//! recorded, for pods that are made as the bridge plugin made them. What each pod asked for is there
//! while it lives; afterwards nothing is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod capture;
mod host;
mod pod;
mod wanted;

use std::collections::BTreeSet;
use std::fs;

use capture::Recorded;
use host::Host;

/// Where recorded calls are.
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/captures");

/// How a session ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Every pod has been deleted.
    Empty,
    /// A pod lives on, or was never deleted.
    Alive,
}

/// Captures that belong together: later ones go on with the pods of earlier ones.
type Session = (End, &'static [&'static str]);

const CONTAINERD: [Session; 9] = [
    (
        End::Empty,
        &[
            "containerd16-basic-run-stop",
            "containerd16-basic-stop-again",
            "containerd16-basic-remove",
        ],
    ),
    (End::Empty, &["containerd16-egress-10G"]),
    (End::Empty, &["containerd16-failing-add"]),
    (End::Empty, &["containerd16-failing-del-then-retry"]),
    (End::Empty, &["containerd16-hostips-sctp"]),
    (End::Empty, &["containerd16-ingress-only"]),
    (
        End::Empty,
        &[
            "containerd16-netns-gone-stop",
            "containerd16-netns-gone-remove",
        ],
    ),
    (End::Empty, &["containerd16-no-ports-no-bandwidth"]),
    (End::Empty, &["containerd16-sandbox-killed"]),
];

const PODMAN: [Session; 3] = [
    (
        End::Empty,
        &[
            "podman-run",
            "podman-network-reload",
            "podman-restart",
            "podman-stop",
        ],
    ),
    (End::Empty, &["podman-run-static-ip-mac"]),
    (
        // Once the namespace is gone podman asks for no DEL at all.
        End::Alive,
        &[
            "podman-network-create",
            "podman-run-on-created-network",
            "podman-network-connect",
            "podman-network-disconnect",
            "podman-kill",
            "podman-netns-gone-rm",
        ],
    ),
];

const CRIO: [Session; 2] = [
    (End::Empty, &["crio-basic-run-stop"]),
    (End::Alive, &["crio-restart-gc"]),
];

/// Recorded by `RUNTIMES_RECORD` while `tests/nodes` ran the reference of 2026-04.
const DEBIAN: [Session; 5] = [
    (End::Empty, &["debian-containerd-busy"]),
    (End::Empty, &["debian-containerd-netns-gone"]),
    (End::Empty, &["debian-containerd-quiet"]),
    (End::Empty, &["debian-containerd-restart"]),
    (End::Empty, &["debian-podman-published"]),
];

const CNITOOL: [Session; 3] = [
    (End::Empty, &["cnitool-0.4.0"]),
    (End::Empty, &["cnitool-1.0.0"]),
    (End::Empty, &["cnitool-1.1.0"]),
];

fn replay((end, captures): Session) {
    let mut host = Host::new(captures[0]);
    for capture in captures {
        let calls = Recorded::all_of(capture);
        let last = calls.iter().rfind(|call| call.verb == "ADD");
        for (number, call) in calls.iter().enumerate() {
            let is_last = last.is_none_or(|last| last.plugin == call.plugin);
            host.replay(call, is_last, &format!("{capture} call {number}"));
        }
    }
    if end == End::Empty {
        host.assert_nothing_left(captures[0]);
    }
}

#[test]
fn pods_of_containerd_get_what_they_ask_for_and_leave_nothing() {
    CONTAINERD.into_iter().for_each(replay);
}

#[test]
fn containers_of_podman_get_what_they_ask_for_and_leave_nothing() {
    PODMAN.into_iter().for_each(replay);
}

#[test]
fn pods_of_crio_pass_its_checks_and_outlive_its_gc() {
    CRIO.into_iter().for_each(replay);
}

#[test]
fn attachments_of_cnitool_pass_check_and_leave_nothing() {
    CNITOOL.into_iter().for_each(replay);
}

#[test]
fn what_debian_s_runtimes_sent_in_our_own_runs_leaves_nothing() {
    DEBIAN.into_iter().for_each(replay);
}

#[test]
fn every_capture_is_replayed() {
    let sessions = [&CONTAINERD[..], &PODMAN, &CRIO, &DEBIAN, &CNITOOL].concat();
    let replayed: BTreeSet<_> = sessions
        .iter()
        .flat_map(|(_, names)| names.iter())
        .collect();
    for file in fs::read_dir(CAPTURES).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(replayed.contains(&name), "{name}");
    }
}
