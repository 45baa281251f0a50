//! `gc`: what the cache does not have goes, and nothing else.

use std::fs;

use serde_json::json;

use super::place::{Backend, Place, Said, on_every_backend};

on_every_backend!(what_the_cache_does_not_have_is_removed);

fn what_the_cache_does_not_have_is_removed(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach_all("portmap");
    fs::remove_file(place.cache_file(0)).unwrap();
    let rules = place.rules();
    let said = place.run("portmap", &["gc", "--dry-run", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["dead".into()]),
        "{said:?}"
    );
    assert_eq!(place.rules(), rules);
    let said = place.run("portmap", &["gc", "--grace", "0", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["removed".into()]),
        "{said:?}"
    );
    assert!(!place.rules().contains("8000"), "{}", place.rules());
    place.does("portmap", "CHECK", 1, &place.capabilities(1));
    let said = place.run("portmap", &["gc"]);
    assert!(said.stdout.starts_with("nothing"), "{said:?}");
}

#[test]
fn limits_and_backups_of_dead_attachments_are_removed() {
    let place = Place::new(Backend::Nftables, 2);
    for plugin in ["tuning", "bandwidth"] {
        place.attach_all(plugin);
    }
    fs::remove_file(place.cache_file(0)).unwrap();
    for plugin in ["tuning", "bandwidth"] {
        let said = place.run(plugin, &["gc", "--grace", "0", "--json"]);
        assert_eq!(
            (said.code, said.states()),
            (Some(0), vec!["removed".into()]),
            "{said:?}"
        );
        place.does(plugin, "CHECK", 1, &place.capabilities(1));
    }
    assert_eq!(fs::read_dir(place.data_dir()).unwrap().count(), 1);
    let ifbs = place
        .net
        .host
        .sh(["ip", "-o", "link", "show", "type", "ifb"]);
    assert_eq!(ifbs.lines().count(), 1, "{ifbs}");
}

#[test]
fn a_limit_towards_the_container_alone_is_a_dead_attachment_s_too() {
    let place = Place::new(Backend::Nftables, 2);
    for index in [0, 1] {
        let mut asked = place.capabilities(index);
        asked["bandwidth"] = json!({"ingressRate": 8_000_000});
        place.attach("bandwidth", index, &asked);
    }
    fs::remove_file(place.cache_file(0)).unwrap();
    let said = place.run("bandwidth", &["gc", "--grace", "0", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["removed".into()]),
        "{said:?}"
    );
    let queues = place.net.host.sh(["tc", "qdisc", "show"]);
    assert_eq!(queues.matches("tbf").count(), 1, "{queues}");
}

#[test]
fn a_network_that_the_cache_does_not_know_is_left_unless_it_is_named() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    fs::remove_file(place.cache_file(0)).unwrap();
    let rules = place.rules();
    let said = place.run("portmap", &["gc", "--grace", "0", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["left".into()]),
        "{said:?}"
    );
    assert_eq!(place.rules(), rules);
    let said = place.run(
        "portmap",
        &["gc", "--grace", "0", "--network", "net1", "--json"],
    );
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["removed".into()]),
        "{said:?}"
    );
    assert!(!place.rules().contains("8000"));
}

#[test]
fn without_a_sound_cache_nothing_is_removed() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("portmap");
    let rules = place.rules();
    fs::write(place.cache_file(0), "{").unwrap();
    let said = place.run("portmap", &["gc", "--grace", "0"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    fs::remove_dir_all(place.cache_dir()).unwrap();
    let said = place.run("portmap", &["gc", "--grace", "0", "--network", "net1"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("there is no cache"), "{said:?}");
    assert_eq!(place.rules(), rules);
}

/// The rules of the reference's nftables backend name a container, and no network.
#[test]
fn what_does_not_say_whose_it_is_stays_and_is_named() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach("portmap", 1, &place.capabilities(1));
    let host = &place.net.host;
    host.sh(["nft", "add", "table", "ip", "cni_hostport"]);
    host.sh(["nft", "add", "chain", "ip", "cni_hostport", "hostports"]);
    for index in [0, 1] {
        let rule = format!(
            "add rule ip cni_hostport hostports tcp dport 900{index} dnat to 10.22.0.3:81 \
             comment \"{}\"",
            place.id(index)
        );
        host.sh(["nft", &rule]);
    }
    let rules = place.rules();
    let said = place.run("portmap", &["gc", "--grace", "0", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["left".into()]),
        "{said:?}"
    );
    assert_eq!(said.json()["attachments"][0]["container"], place.id(0));
    assert_eq!(place.rules(), rules);
}

/// An earlier libcni wrote the result alone: only the file's name says whose it is.
#[test]
fn an_attachment_of_an_earlier_libcni_is_not_dead() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("portmap");
    fs::write(place.cache_file(0), r#"{"cniVersion":"0.4.0","ips":[]}"#).unwrap();
    let said = place.run("portmap", &["gc", "--grace", "0"]);
    assert!(said.stdout.starts_with("nothing"), "{said:?}");
}

/// A pipe, a device and a file of a terabyte: nothing waits, and nobody is dead for it.
#[test]
fn what_is_no_file_in_the_cache_is_named_and_delays_nothing() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("portmap");
    let rules = place.rules();
    let file = place.cache_file(0);
    let name = file.display().to_string();
    let host = &place.net.host;
    for line in [
        vec!["mkfifo", &name],
        vec!["mknod", &name, "c", "1", "5"],
        vec!["truncate", "-s", "1T", &name],
    ] {
        fs::remove_file(&file).unwrap();
        host.try_sh(&line).unwrap();
        for command in [
            vec!["gc", "--grace", "0"],
            vec!["reconcile"],
            vec!["ports"],
            vec!["who", "8001"],
        ] {
            let call = place.command("portmap", &command).under(&["timeout", "20"]);
            let said = Said::of(call.run(host).unwrap());
            assert_eq!(said.code, Some(1), "{line:?} {command:?}: {said:?}");
            let told = [said.stdout, said.stderr].concat();
            assert!(told.contains(&name) && !told.contains("stale"), "{told}");
        }
        assert_eq!(place.rules(), rules);
    }
}

/// A cache of a later libcni, and one that does not say where the container is.
#[test]
fn what_the_cache_does_not_tell_is_an_error_and_nobody_is_dead_for_it() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("portmap");
    let rules = place.rules();
    let file = place.cache_file(0).display().to_string();
    let mut later = place.recall(0);
    later["kind"] = json!("cniCacheV2");
    place.remember_as(0, &later);
    for command in [
        vec!["gc", "--grace", "0"],
        vec!["reconcile"],
        vec!["ports"],
        vec!["who", "8001"],
    ] {
        let said = place.run("portmap", &command);
        assert_eq!(said.code, Some(1), "{command:?}: {said:?}");
        let told = [said.stdout, said.stderr].concat();
        let expected = format!("understand {file}: its kind is \"cniCacheV2\", not cniCacheV1");
        assert!(told.contains(&expected), "{told}");
        assert!(!told.contains("stale"), "{told}");
    }
    assert_eq!(place.rules(), rules);
    let mut nowhere = place.recall(0);
    nowhere["kind"] = json!("cniCacheV1");
    for key in ["netns", "result"] {
        nowhere[key] = json!(null);
    }
    place.remember_as(0, &nowhere);
    for command in [
        vec!["reconcile"],
        vec!["ports"],
        vec!["metrics"],
        vec!["explain", "8001"],
    ] {
        let said = place.run("portmap", &command);
        assert_eq!(said.code, Some(1), "{command:?}: {said:?}");
        let told = [said.stdout, said.stderr].concat();
        let expected = format!("{file} names no network namespace");
        assert!(told.contains(&expected), "{told}");
        assert!(
            !told.contains("stale") && !told.contains("is gone"),
            "{told}"
        );
    }
    assert_eq!(place.rules(), rules);
}

/// A runtime that never ran DEL of a pod, and does not run GC.
#[test]
fn what_the_cache_has_of_pods_that_the_kubelet_does_not_have_is_removed_when_told() {
    let place = Place::new(Backend::Nftables, 4);
    for plugin in ["portmap", "bandwidth"] {
        place.attach_all(plugin);
    }
    let pods = place.directory.join("pods");
    // There; gone, and its namespace is not; gone with it; no pod of Kubernetes.
    let uid = |index: usize| format!("123e4567-e89b-12d3-a456-42661417400{index}");
    for index in 0..3 {
        let mut entry = place.recall(index);
        entry["cniArgs"] = json!([["IgnoreUnknown", "1"], ["K8S_POD_UID", uid(index)]]);
        place.remember_as(index, &entry);
    }
    for index in [0, 2, 3] {
        let mut entry = place.recall(index);
        entry["netns"] = json!(place.directory.join("no-such-namespace"));
        place.remember_as(index, &entry);
    }
    let pods_dir = pods.display().to_string();
    let line = ["gc", "--grace=0", "--json", "--kubelet-pods", &pods_dir];
    let rules = place.rules();
    // What of another directory would make all pods look gone.
    for (what, next) in [
        ("does not exist", pods.clone()),
        ("is empty", pods.join("plugins")),
        ("which is not a pod's UID", pods.join(uid(0))),
    ] {
        let said = place.run("portmap", &line);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            format!("{said:?}").contains(what) && format!("{said:?}").contains(&pods_dir),
            "{said:?}"
        );
        assert_eq!(place.rules(), rules);
        fs::create_dir(next).unwrap();
    }
    fs::remove_dir(pods.join("plugins")).unwrap();
    for plugin in ["portmap", "bandwidth"] {
        // Without the list nothing is removed.
        let said = place.run(plugin, &["gc", "--grace=0"]);
        assert!(said.stdout.starts_with("nothing"), "{said:?}");
        let said = place.run(plugin, &line);
        let removed = &said.json()["attachments"];
        assert_eq!(
            (said.code, said.states()),
            (Some(0), vec!["removed".into()]),
            "{said:?}"
        );
        assert_eq!(removed[0]["container"], place.id(2), "{said:?}");
        let said = place.run(plugin, &line);
        assert_eq!((said.code, said.states()), (Some(0), vec![]), "{said:?}");
    }
    for (port, is_there) in [(8000, true), (8001, true), (8002, false), (8003, true)] {
        assert_eq!(
            place.rules().contains(&port.to_string()),
            is_there,
            "{port}"
        );
    }
    // The file is the runtime's.
    assert!(place.cache_file(2).exists());
}
