//! What `follow` says, to people and to a service manager, and when it is silent.

use std::os::unix::net::UnixDatagram;

use super::*;

#[test]
fn who_made_the_change_is_named() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let follower = Follower::start(&place, &["--plugin=portmap"]);
    sh(&place, "nft flush ruleset");
    let line = follower.line(1);
    let expected = "after a change by nft: repaired 1: portmap of net1/";
    assert!(line.starts_with(expected), "{line}");
    assert!(line.contains("8000/tcp"), "{line}");
}

#[test]
fn what_is_repaired_is_counted_and_what_has_no_namespace_is_said_once() {
    let place = Place::new(Backend::Nftables, 3);
    place.attach_all("portmap");
    let mut entry = place.recall(2);
    entry["netns"] = json!(place.directory.join("no-such-namespace"));
    place.remember_as(2, &entry);
    let follower = Follower::start(&place, &["--grace=0"]);
    let gone = "not checked, as their network namespaces are gone: 1";
    let is_said = || follower.lines().contains(&gone.to_owned());
    assert!(wait_until(LONG, is_said), "{:?}", follower.lines());
    let count = follower.lines().len();
    for number in 1..3 {
        place.reload();
        follower.line(count + number);
        let said = place.run("portmap", &["metrics"]);
        let of = |name: &str, labels: &str, value: usize| {
            let sample = format!("{name}{{plugin=\"portmap\"{labels}}} {value}.0");
            assert!(said.stdout.contains(&sample), "{sample}: {said:?}");
        };
        of("cni_reconcile_repairs_total", "", 2 * number);
        of("cni_reconcile_attachments", ",state=\"repaired\"", 2);
        of("cni_reconcile_attachments", ",state=\"gone\"", 1);
    }
}

#[test]
fn it_sleeps_while_nothing_changes_and_looks_at_everything_when_told() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("tuning");
    let follower = Follower::start(&place, &["--grace=0", "--plugin=tuning"]);
    assert!(wait_until(LONG, || follower.sleeps()));
    place
        .pod(0)
        .sh(["ip", "link", "set", "eth0", "mtu", "1300"]);
    follower.signal("HUP");
    let line = follower.line(1);
    assert!(
        line.starts_with("after SIGHUP: repaired 1: tuning of"),
        "{line}"
    );
    assert!(wait_until(LONG, || follower.sleeps()));
    follower.end();
}

#[test]
fn a_service_manager_hears_signs_of_life() {
    let place = Place::new(Backend::Nftables, 1);
    let socket = place.directory.join("life");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(LONG)).unwrap();
    // A shell gives its process ID, which the variable has to name.
    let line = "export WATCHDOG_PID=$$; exec \"$@\"";
    let call = place.tool(&["follow"]).under(&["sh", "-c", line, "sh"]);
    let call = call
        .env("NOTIFY_SOCKET", &socket.display().to_string())
        .env("WATCHDOG_USEC", "20000");
    let _running = call.spawn(&place.net.host).unwrap();
    for expected in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
        let mut bytes = [0; 100];
        let length = manager.recv(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes[..length]).trim(), expected);
    }
}
