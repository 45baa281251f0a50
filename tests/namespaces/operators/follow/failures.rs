//! What cannot be read, repaired or reported keeps nothing else from being repaired.

use super::*;

#[test]
fn a_report_that_cannot_be_written_keeps_nothing_from_being_repaired() {
    for to in ["> /dev/full", ">&-"] {
        let place = Place::new(Backend::Nftables, 1);
        place.attach_all("portmap");
        let script = format!("exec \"$0\" \"$@\" {to}");
        let words = ["--grace=0", "--plugin=portmap"];
        let follower = Follower::start_by(&place, &["sh", "-c", &script], &words);
        for _ in 0..2 {
            let rules = place.rules();
            sh(&place, "nft flush ruleset");
            assert!(wait_until(LONG, || place.rules() == rules), "{to}");
        }
        follower.end();
    }
}

#[test]
fn more_than_can_be_read_is_a_reason_to_look_at_everything() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let follower = Follower::start(&place, &["--grace=0", "--plugin=portmap"]);
    follower.signal("STOP");
    let comment = "x".repeat(120);
    let rules = format!("add rule ip others c counter comment \"{comment}\"\n").repeat(500);
    let script = place.directory.join("rules");
    fs::write(
        &script,
        format!("add table ip others\nadd chain ip others c\n{rules}"),
    )
    .unwrap();
    let load = format!("nft -f {}", script.display());
    sh(&place, &format!("for n in $(seq 60); do {load}; done"));
    sh(&place, "nft delete table ip cni_portmap");
    follower.signal("CONT");
    let line = follower.line(1);
    assert!(
        line.contains("after more changes than could be read: "),
        "{line}"
    );
    place.does("portmap", "CHECK", 0, &place.capabilities(0));
}

#[test]
fn what_cannot_be_repaired_is_reported_once_and_keeps_nobody_waiting() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("portmap");
    let mut broken = place.recall(0);
    broken["capabilityArgs"]["portMappings"][0]["hostPort"] = json!(70_000);
    place.remember_as(0, &broken);
    let follower = Follower::start(&place, &["--grace=0", "--plugin=portmap"]);
    let line = follower.line(1);
    assert!(
        line.contains("failed 1: ") && line.contains("70000"),
        "{line}"
    );
    for number in 2..4 {
        place.reload();
        let line = follower.line(number);
        assert!(
            line.contains("repaired 1: ") && !line.contains("failed"),
            "{line}"
        );
    }
    follower.signal("HUP");
    let line = follower.line(4);
    assert!(line.starts_with("after SIGHUP: failed 1: "), "{line}");
    place.remember(0, &place.capabilities(0));
    assert!(follower.line(5).contains("repaired 1: "));
    assert!(wait_until(LONG, || follower.sleeps()));
}

#[test]
fn what_one_plugin_cannot_repair_does_not_keep_another_from_repairing() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("bandwidth");
    let mut broken = place.recall(0);
    broken["capabilityArgs"]["portMappings"][0]["hostPort"] = json!(70_000);
    place.remember_as(0, &broken);
    let words = ["--grace=0", "--plugin=portmap", "--plugin=bandwidth"];
    let follower = Follower::start(&place, &words);
    let line = follower.line(1);
    assert!(line.contains("failed 1: portmap of"), "{line}");
    let veth = &place.pod(0).host_interface;
    for number in 2..5 {
        sh(&place, &format!("tc qdisc del dev {veth} root"));
        let line = follower.line(number);
        assert!(line.contains("repaired 1: bandwidth of"), "{line}");
        place.does("bandwidth", "CHECK", 0, &place.capabilities(0));
    }
}

#[test]
fn a_cache_that_cannot_be_read_is_reported_once_and_read_again() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let (results, aside) = (
        place.cache_dir().join("results"),
        place.directory.join("aside"),
    );
    fs::rename(&results, &aside).unwrap();
    fs::write(&results, "").unwrap();
    let follower = Follower::start(&place, &["--grace=0", "--plugin=portmap"]);
    let line = follower.line(1);
    assert!(
        line.contains("failed 1: ") && line.contains("results"),
        "{line}"
    );
    place.reload();
    fs::remove_file(&results).unwrap();
    fs::rename(&aside, &results).unwrap();
    let line = follower.line(2);
    assert!(line.contains("repaired 1: portmap of"), "{line}");
    assert!(wait_until(LONG, || follower.sleeps()));
}
