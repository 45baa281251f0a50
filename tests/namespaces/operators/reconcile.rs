//! `reconcile`: what a reload of the firewall removed comes back, and nothing else changes.

use std::fs;

use common::base64;
use sandbox::{Snapshot, executable};
use serde_json::json;

use super::place::{Backend, Place, on_every_backend};

on_every_backend!(
    a_reload_is_repaired_and_the_next_run_finds_all_in_order,
    a_dry_run_changes_nothing,
    drift_is_a_line_and_whole_where_that_is_asked_for,
    the_newest_owner_of_a_port_keeps_it,
    the_newest_owner_of_one_of_several_ports_keeps_it,
    the_newest_owner_of_a_port_within_limits_keeps_it,
    two_hundred_attachments_come_back_after_both_kinds_of_flush,
);

fn a_reload_is_repaired_and_the_next_run_finds_all_in_order(backend: Backend) {
    let place = Place::new(backend, 3);
    place.attach_all("portmap");
    place.reload();
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["repaired".into(); 3]),
        "{said:?}"
    );
    for index in 0..3 {
        place.does("portmap", "CHECK", index, &place.capabilities(index));
    }
    let rules = place.rules();
    let said = place.run("portmap", &["reconcile"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    let said = place.run("portmap", &["reconcile", "--verbose"]);
    let last = said.stdout.lines().last();
    assert_eq!(last, Some("3 attachments: 3 in order"), "{said:?}");
    assert_eq!(place.rules(), rules);
}

fn a_dry_run_changes_nothing(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    place.reload();
    let rules = place.rules();
    let said = place.run("portmap", &["reconcile", "--dry-run", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["drifted".into()]),
        "{said:?}"
    );
    let document = said.json();
    assert_eq!(document["dryRun"], true);
    assert_ne!(document["attachments"][0]["details"], "");
    assert_eq!(place.rules(), rules);
}

fn drift_is_a_line_and_whole_where_that_is_asked_for(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach("portmap", 0, &place.asking(&[8080, 8443]));
    place.reload();
    let row = |line: &[&str]| {
        let said = place.run("portmap", line);
        assert_eq!(said.code, Some(10), "{said:?}");
        said.stdout.lines().nth(1).unwrap().to_owned()
    };
    let short = row(&["reconcile", "--dry-run"]);
    let names = "8080/tcp, 8443/tcp, 10.22.0.1:9080/udp: ";
    assert!(
        short.contains(names) && short.ends_with(" missing"),
        "{short}"
    );
    // iptables-legacy -F leaves chains.
    let has_chain = short.contains("chain");
    assert_eq!(has_chain, backend != Backend::IptablesLegacy, "{short}");
    let whole = row(&["reconcile", "--dry-run", "--verbose"]);
    assert!(
        whole.contains(": expected ") && !whole.contains(names),
        "{whole}"
    );
    let said = place.run("portmap", &["reconcile", "--dry-run", "--json"]);
    let details = said.json()["attachments"][0]["details"].clone();
    assert!(
        whole.ends_with(details.as_str().unwrap()),
        "{details} {whole}"
    );
}

fn the_newest_owner_of_a_port_keeps_it(backend: Backend) {
    newest_keeps_a_port(&Place::new(backend, 2));
}

fn the_newest_owner_of_a_port_within_limits_keeps_it(backend: Backend) {
    let addresses = json!(["10.22.0.0/16", "198.51.100.0/24"]);
    let within = || Place::new(backend, 2).with("hostAddresses", addresses.clone());
    newest_keeps_a_port(&within());
    newest_keeps_one_of_several_ports(&within());
}

#[track_caller]
fn newest_keeps_a_port(place: &Place) {
    let both = place.asking(&[8080]);
    for index in 0..2 {
        place.attach("portmap", index, &both);
    }
    for _ in 0..2 {
        let said = place.run("portmap", &["reconcile", "--json"]);
        assert_eq!(
            (said.code, said.states()),
            (Some(0), vec!["superseded".into(), "ok".into()])
        );
        place.does("portmap", "CHECK", 1, &both);
    }
    place.reload();
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(said.states(), ["repaired", "repaired"], "{said:?}");
    place.does("portmap", "CHECK", 1, &both);
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(said.states(), ["superseded", "ok"], "{said:?}");
    // Once the newer one is gone, the older one has its ports.
    place.does("portmap", "DEL", 1, &both);
    place.does("portmap", "CHECK", 0, &both);
}

fn the_newest_owner_of_one_of_several_ports_keeps_it(backend: Backend) {
    newest_keeps_one_of_several_ports(&Place::new(backend, 2));
}

/// The older one has a port of its own, so it is not superseded.
#[track_caller]
fn newest_keeps_one_of_several_ports(place: &Place) {
    let (older, newer) = (place.asking(&[8080, 8081]), place.asking(&[8080]));
    place.attach("portmap", 0, &older);
    place.attach("portmap", 1, &newer);
    both_stay_in_order(place);
    for _ in 0..2 {
        place.reload();
        let said = place.run("portmap", &["reconcile", "--json"]);
        assert_eq!(said.states(), ["repaired", "repaired"], "{said:?}");
        let said = place.run("portmap", &["reconcile", "--json"]);
        assert_eq!(said.states(), ["ok", "ok"], "{said:?}");
        place.does("portmap", "CHECK", 1, &newer);
    }
    // Once the newer one is gone, the older one has the port.
    place.does("portmap", "DEL", 1, &newer);
    place.does("portmap", "CHECK", 0, &older);
}

/// Two attachments in order are left alone, however often.
#[track_caller]
fn both_stay_in_order(place: &Place) {
    let rules = place.rules();
    for _ in 0..2 {
        let said = place.run("portmap", &["reconcile", "--json"]);
        let states = vec!["ok".into(), "ok".into()];
        assert_eq!((said.code, said.states()), (Some(0), states), "{said:?}");
        assert_eq!(place.rules(), rules);
    }
}

/// Each has addresses of its own, and some that both have; the newest attachment comes first with iptables.
#[test]
fn limits_that_meet_leave_the_newer_one_what_they_have_in_common() {
    for backend in [Backend::IptablesNft, Backend::IptablesLegacy] {
        let mut place = Place::new(backend, 2);
        let port = json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp"});
        let port = json!({"portMappings": [port]});
        let limits = [
            ["198.51.100.0/24", "10.22.0.0/16"],
            ["198.51.100.0/25", "203.0.113.0/24"],
        ];
        for (index, only) in limits.into_iter().enumerate() {
            place = place.with("hostAddresses", json!(only));
            place.attach("portmap", index, &port);
        }
        both_stay_in_order(&place);
        // ADD of the older one alone would take it.
        let script = "iptables -t nat -D CNI-HOSTPORT-DNAT $(iptables -t nat -nL CNI-HOSTPORT-DNAT \
                      --line-numbers | awk '/10.22.0.0/ {print $1}')";
        let program = format!("/usr/sbin/iptables-{}", backend.infix());
        let script = script.replace("iptables", &program);
        let mut command = place.net.host.command("sh");
        let command = command.env("XTABLES_LOCKFILE", place.directory.join("lock"));
        assert!(command.args(["-ec", &script]).status().unwrap().success());
        let said = place.run("portmap", &["reconcile", "--json"]);
        assert_eq!(said.states(), ["repaired", "repaired"], "{said:?}");
        let said = place.run("portmap", &["reconcile", "--json"]);
        assert_eq!(said.states(), ["ok", "ok"], "{said:?}");
        place.does("portmap", "CHECK", 1, &port);
    }
}

/// Writes many attachments into the cache, all of one container's address, each with its port.
fn remember_many(place: &Place, count: u16) {
    place.attach("portmap", 0, &place.asking(&[8000]));
    let first = place.recall(0);
    for index in 1..count {
        let mut entry = first.clone();
        entry["containerId"] = json!(format!("many-{index}"));
        entry["capabilityArgs"] = json!({"portMappings": [
            {"hostPort": 10_000 + index, "containerPort": 80, "protocol": "tcp"}]});
        place.remember_as(index.into(), &entry);
        let to = place.cache_dir().join(format!("results/many-{index}"));
        fs::rename(place.cache_file(index.into()), to).unwrap();
    }
}

fn two_hundred_attachments_come_back_after_both_kinds_of_flush(backend: Backend) {
    let place = Place::new(backend, 1);
    remember_many(&place, 200);
    assert_eq!(place.run("portmap", &["reconcile"]).code, Some(10));
    let before = Snapshot::take(&place.net.host).unwrap();
    let flushes = match backend {
        Backend::IptablesNft => ["iptables-nft -t nat -F", "nft flush ruleset"],
        Backend::IptablesLegacy => ["iptables-legacy -t nat -F", "iptables-legacy -t mangle -F"],
        Backend::Nftables => ["nft flush ruleset", "nft flush ruleset"],
    };
    for flush in flushes {
        place.net.host.sh(["sh", "-c", flush]);
        let flushed = Snapshot::take(&place.net.host).unwrap();
        let said = place.run("portmap", &["reconcile", "--dry-run", "--json"]);
        assert_eq!(said.states(), vec!["drifted"; 200], "{flush}");
        let seen = Snapshot::take(&place.net.host).unwrap();
        assert_eq!(flushed.diff(&seen), Vec::<String>::new(), "{flush}");
        let said = place.run("portmap", &["reconcile", "--json"]);
        assert_eq!(said.states(), vec!["repaired"; 200], "{flush}");
        let after = Snapshot::take(&place.net.host).unwrap();
        assert_eq!(before.diff(&after), Vec::<String>::new(), "{flush}");
    }
    let said = place.run("portmap", &["reconcile"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
}

/// An `iptables-restore` that refuses to make several attachments' chains at once.
const ONE_AT_A_TIME: &str = "#!/bin/sh
input=$(cat)
if [ \"$(echo \"$input\" | grep -c '^-N CNI-DN-')\" -gt 1 ]; then
    echo refused >&2
    exit 1
fi
echo \"$input\" | /usr/sbin/iptables-nft-restore \"$@\"
";

#[test]
fn what_cannot_be_written_together_is_written_one_by_one() {
    let place = Place::new(Backend::IptablesNft, 3);
    place.attach_all("portmap");
    place.reload();
    let program = place.directory.join("iptables-restore");
    executable::script(&program, ONE_AT_A_TIME).unwrap();
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(said.states(), ["repaired"; 3], "{said:?}");
    for index in 0..3 {
        place.does("portmap", "CHECK", index, &place.capabilities(index));
    }
}

#[test]
fn conditions_that_iptables_refuses_keep_nobody_else_from_being_repaired() {
    let place = Place::new(Backend::IptablesNft, 3);
    place.attach_all("portmap");
    let mut broken = place.recall(1);
    let list = json!({"cniVersion": "1.0.0", "name": "net1", "plugins": [
        {"type": "portmap", "backend": "iptables", "conditionsV4": ["--no-such-match"],
         "capabilities": {"portMappings": true}}]});
    broken["config"] = json!(base64::encode(list.to_string().as_bytes()));
    place.remember_as(1, &broken);
    place.reload();
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(
        said.states(),
        ["repaired", "failed", "repaired"],
        "{said:?}"
    );
    assert!(said.stdout.contains("no-such-match"), "{said:?}");
    for index in [0, 2] {
        place.does("portmap", "CHECK", index, &place.capabilities(index));
    }
}

#[test]
fn limits_and_sysctls_are_repaired_too() {
    let place = Place::new(Backend::Nftables, 1);
    for plugin in ["tuning", "bandwidth"] {
        place.attach_all(plugin);
        assert_eq!(place.run(plugin, &["reconcile"]).code, Some(0));
    }
    let veth = place.pod(0).host_interface.clone();
    place
        .net
        .host
        .sh(["tc", "qdisc", "del", "dev", &veth, "root"]);
    place
        .pod(0)
        .sh(["ip", "link", "set", "eth0", "mtu", "1300"]);
    for plugin in ["tuning", "bandwidth"] {
        let said = place.run(plugin, &["reconcile", "--json"]);
        assert_eq!(
            (said.code, said.states()),
            (Some(10), vec!["repaired".into()]),
            "{said:?}"
        );
        place.does(plugin, "CHECK", 0, &place.capabilities(0));
    }
}

#[test]
fn the_reference_s_bursts_are_accepted_by_check_and_put_right() {
    let place = Place::new(Backend::Nftables, 1);
    let mut asked = place.capabilities(0);
    // What containerd sends where nobody asked for a burst.
    for key in ["ingressBurst", "egressBurst"] {
        asked["bandwidth"][key] = json!(4_294_967_295u64);
    }
    place.does("/usr/lib/cni/bandwidth", "ADD", 0, &asked);
    place.remember(0, &asked);
    let bursts = || -> Vec<u64> {
        let document = place.run("bandwidth", &["limits", "--json"]).json();
        let rows = document["limits"].as_array().unwrap();
        rows.iter()
            .map(|row| row["burstBytes"].as_u64().unwrap())
            .collect()
    };
    let theirs = bursts();
    assert!(
        theirs.iter().all(|burst| *burst > 100_000_000),
        "{theirs:?}"
    );
    place.does("bandwidth", "CHECK", 0, &asked);
    let doctor = place.run("bandwidth", &["doctor"]);
    let warns = |line: &&str| {
        line.starts_with("warning") && line.contains("CHECK accepts 1 attachment that ADD would")
    };
    assert_eq!(doctor.stdout.lines().filter(warns).count(), 1, "{doctor:?}");
    let said = place.run("bandwidth", &["reconcile", "--dry-run"]);
    assert_eq!(said.code, Some(10), "{said:?}");
    assert_eq!(bursts(), theirs);
    let said = place.run("bandwidth", &["reconcile", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["repaired".into()]),
        "{said:?}"
    );
    let details = said.json()["attachments"][0]["details"].clone();
    assert!(
        details.as_str().unwrap().contains("ticks of the reference"),
        "{details}"
    );
    let ours = bursts();
    assert!(ours.iter().all(|burst| *burst < 1_000_000), "{ours:?}");
    place.does("bandwidth", "CHECK", 0, &asked);
    assert_eq!(place.run("bandwidth", &["reconcile"]).code, Some(0));
}

#[test]
fn an_attachment_whose_namespace_is_gone_is_reported_and_left() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let mut entry = place.recall(0);
    entry["netns"] = json!(place.directory.join("gone"));
    place.remember_as(0, &entry);
    place.reload();
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["gone".into()]),
        "{said:?}"
    );
    assert!(!place.rules().contains("8000"));
}

#[test]
fn what_cannot_be_repaired_is_told_and_does_not_stop_the_rest() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("portmap");
    let mut broken = place.recall(0);
    broken["capabilityArgs"]["portMappings"][0]["hostPort"] = json!(70_000);
    place.remember_as(0, &broken);
    place.reload();
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(1), vec!["failed".into(), "repaired".into()])
    );
    assert!(said.stdout.contains("70000"), "{said:?}");
}

#[test]
fn an_unreadable_file_is_told_and_one_of_another_kind_is_passed_over() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let results = place.cache_dir().join("results");
    fs::write(
        results.join("an-old-libcni"),
        r#"{"cniVersion":"0.4.0","ips":[]}"#,
    )
    .unwrap();
    assert_eq!(place.run("portmap", &["reconcile"]).code, Some(0));
    fs::write(results.join("torn"), "{\"kind\":\"cni").unwrap();
    let said = place.run("portmap", &["reconcile"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("results/torn"), "{said:?}");
}

#[test]
fn a_node_without_a_cache_is_in_order() {
    let place = Place::new(Backend::Nftables, 1);
    fs::remove_dir_all(place.cache_dir().join("results")).unwrap();
    let said = place.run("portmap", &["reconcile"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""));
}

#[test]
fn the_node_s_own_namespace_is_refused() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("tuning");
    let mut entry = place.recall(0);
    entry["netns"] = json!("/proc/self/ns/net");
    place.remember_as(0, &entry);
    let said = place.run("tuning", &["reconcile", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(1), vec!["failed".into()]),
        "{said:?}"
    );
}
