//! `follow`: what others change comes back by itself, and nothing else happens.

mod failures;
mod follower;
mod reports;
mod rights;

use std::fs;
use std::time::Duration;

use sandbox::wait_until;
use serde_json::json;

use super::place::{Backend, Place, on_every_backend};
use super::today::{backends, today};
use follower::Follower;

on_every_backend!(
    what_others_remove_comes_back_and_is_reported_once,
    what_a_plugin_does_is_in_order,
    a_repair_of_what_the_runtime_deletes_is_taken_back,
    an_attachment_whose_add_was_under_way_is_looked_at_afterwards,
);

/// Far more than any repair takes.
const LONG: Duration = Duration::from_secs(60);

/// Runs a shell's line on the node, with the lock of legacy programs that the place has.
#[track_caller]
fn sh(place: &Place, line: &str) {
    let lock = place.directory.join("lock");
    let mut command = place.net.host.command("sh");
    command.args(["-ec", line]).env("XTABLES_LOCKFILE", lock);
    assert!(command.status().unwrap().success(), "{line}");
}

fn ways(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::IptablesNft => &[
            "nft flush ruleset",
            "iptables-nft -t nat -F",
            "iptables-nft -t nat -F; iptables-nft -t nat -X",
            "printf '*nat\nCOMMIT\n' | iptables-nft-restore",
            "nft delete table ip nat",
        ],
        Backend::IptablesLegacy => &[
            // As many entries, of the same sizes, as if saved when earlier pods had the ports. First, because after a
            // repair everything is looked at once more.
            "iptables-legacy-save -t nat | sed s/--dports/--sports/ | iptables-legacy-restore",
            "iptables-legacy -t nat -F",
            "iptables-legacy -t nat -F; iptables-legacy -t nat -X",
            "printf '*nat\nCOMMIT\n' | iptables-legacy-restore",
        ],
        Backend::Nftables => &[
            "nft flush ruleset",
            "nft delete table ip cni_portmap",
            "nft flush table ip cni_portmap",
        ],
    }
}

fn what_others_remove_comes_back_and_is_reported_once(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach_all("portmap");
    let follower = Follower::start(&place, &["--grace=0", "--plugin=portmap"]);
    for (number, way) in ways(backend).iter().enumerate() {
        sh(&place, way);
        let line = follower.line(number + 1);
        assert!(
            line.contains(": repaired 2: portmap of net1/"),
            "{way}: {line}"
        );
        for index in 0..2 {
            place.does("portmap", "CHECK", index, &place.capabilities(index));
        }
        // What it has written itself is nothing to report, and nothing to wait for.
        let is_idle = || follower.sleeps() || backend == Backend::IptablesLegacy;
        assert!(wait_until(LONG, is_idle), "{way}");
    }
    assert_eq!(follower.end().len(), ways(backend).len());
}

fn what_a_plugin_does_is_in_order(backend: Backend) {
    let place = Place::new(backend, 3);
    place.attach("bandwidth", 2, &place.capabilities(2));
    place.attach("portmap", 0, &place.capabilities(0));
    place.remember(2, &place.asking(&[]));
    place.does("bandwidth", "ADD", 0, &place.capabilities(0));
    place.does("tuning", "ADD", 0, &place.capabilities(0));
    let follower = Follower::start(&place, &["--grace=0"]);
    let started = follower.lines().len();
    place.does("portmap", "DEL", 0, &place.capabilities(0));
    fs::remove_file(place.cache_file(0)).unwrap();
    place.attach("portmap", 1, &place.capabilities(1));
    let veth = &place.pod(2).host_interface;
    place
        .net
        .host
        .sh(["tc", "qdisc", "del", "dev", veth, "root"]);
    let line = follower.line(started + 1);
    assert!(!line.contains("portmap of"), "{line}");
    assert!(!place.rules().contains("8000"), "{}", place.rules());
}

fn a_repair_of_what_the_runtime_deletes_is_taken_back(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    let follower = Follower::start(&place, &["--grace=2", "--plugin=portmap"]);
    place.reload();
    follower.line(1);
    assert!(place.rules().contains("8000"));
    fs::remove_file(place.cache_file(0)).unwrap();
    let line = follower.line(2);
    assert!(
        line.starts_with("rolled back 1: portmap of net1/"),
        "{line}"
    );
    assert!(!place.rules().contains("8000"), "{}", place.rules());
}

/// The runtime writes the cache after the last plugin of the chain: what comes in between is not seen there.
fn an_attachment_whose_add_was_under_way_is_looked_at_afterwards(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach("portmap", 0, &place.capabilities(0));
    let follower = Follower::start(&place, &["--grace=2", "--plugin=portmap"]);
    place.does("portmap", "ADD", 1, &place.capabilities(1));
    place.reload();
    assert!(follower.line(1).contains("repaired 1: "));
    place.remember(1, &place.capabilities(1));
    let line = follower.line(2);
    assert!(
        line.contains(": repaired 1: portmap of net1/1c0ffee"),
        "{line}"
    );
    // Of the legacy variant, a repair ends in another look, which may be the one that finds it.
    let is_late = line.starts_with("after an ADD that was under way: ");
    assert!(is_late || backend == Backend::IptablesLegacy, "{line}");
    for index in 0..2 {
        place.does("portmap", "CHECK", index, &place.capabilities(index));
    }
}

#[test]
fn what_goes_by_the_configuration_of_today_is_repaired_by_it() {
    let place = Place::new(Backend::IptablesNft, 1);
    place.attach_all("portmap");
    let part = json!({"type": "portmap", "backend": "nftables",
                      "capabilities": {"portMappings": true}});
    let dir = today(&place, &[part]).display().to_string();
    let words = ["--grace=0", "--plugin=portmap", "--config-dir", &dir];
    let follower = Follower::start(&place, &words);
    assert!(
        follower
            .line(1)
            .starts_with("after the start: repaired 1: ")
    );
    assert_eq!(backends(&place), ["nftables active"]);
    sh(&place, "nft flush ruleset");
    assert!(follower.line(2).contains("by nft: repaired 1: "));
    assert_eq!(backends(&place), ["nftables active"]);
}

#[test]
fn limits_come_back() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("bandwidth");
    let follower = Follower::start(&place, &["--grace=0", "--plugin=bandwidth"]);
    let veth = place.pod(0).host_interface.clone();
    let ifb = place.net.host.sh(["sh", "-c", "ip -o link show type ifb"]);
    let ifb = ifb.split([':', '@']).nth(1).unwrap().trim().to_owned();
    let ways = [
        format!("tc qdisc del dev {veth} root"),
        format!("tc qdisc del dev {veth} clsact"),
        format!("ip link del {ifb}"),
    ];
    for (number, way) in ways.iter().enumerate() {
        sh(&place, way);
        let line = follower.line(number + 1);
        assert!(line.contains("repaired 1: bandwidth of"), "{way}: {line}");
        place.does("bandwidth", "CHECK", 0, &place.capabilities(0));
        assert!(wait_until(LONG, || follower.sleeps()), "{way}");
    }
    assert_eq!(follower.end().len(), ways.len());
}

/// The kernel says nothing of legacy tables, and after the second flush they are as after the first one.
#[test]
fn a_flush_of_legacy_tables_right_after_a_repair_is_repaired_too() {
    let place = Place::new(Backend::IptablesLegacy, 1);
    place.attach_all("portmap");
    // The result is noted after the repair and before the tables are looked at again.
    let log = place.directory.join("strace").display().to_string();
    let slow = "inject=/^rename:delay_enter=3000000";
    let runner = [
        "strace",
        "-D",
        "-qq",
        "-o",
        &log,
        "-e",
        "trace=/^rename",
        "-e",
        slow,
    ];
    let words = ["--grace=0", "--plugin=portmap"];
    let follower = Follower::start_by(&place, &runner, &words);
    place.reload();
    let is_repaired = || fs::read_dir(place.state_dir()).is_ok_and(|mut all| all.next().is_some());
    assert!(wait_until(LONG, is_repaired));
    assert!(place.rules().contains("8000"), "{}", place.rules());
    place.reload();
    assert_eq!(follower.lines(), [""; 0]);
    for number in [1, 2] {
        let line = follower.line(number);
        let expected = "after a change of legacy iptables: repaired 1: ";
        assert!(line.starts_with(expected), "{line}");
    }
    place.does("portmap", "CHECK", 0, &place.capabilities(0));
}
