//! Commands over all three plugins at once: one table, one exit code, one document.

use std::fs;

use serde_json::Value;

use super::place::{Backend, Place, Said};

const PLUGINS: [&str; 3] = ["bandwidth", "portmap", "tuning"];

/// Runs a command of the tool for all plugins.
#[track_caller]
fn run(place: &Place, line: &[&str]) -> Said {
    Said::of(place.tool(line).run(&place.net.host).unwrap())
}

/// Plugin and state of each row of a document.
fn rows(said: &Said) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let document = said.json();
    let rows = document["attachments"].as_array().unwrap();
    rows.iter()
        .map(|row| (text(&row["plugin"]), text(&row["state"])))
        .collect()
}

fn all(state: &str) -> Vec<(String, String)> {
    PLUGINS
        .map(|name| (name.to_owned(), state.to_owned()))
        .into()
}

/// A node with pods that have something of every plugin.
fn attached(pods: u8) -> Place {
    let place = Place::new(Backend::Nftables, pods);
    for plugin in ["tuning", "portmap", "bandwidth"] {
        place.attach_all(plugin);
    }
    place
}

#[test]
fn whatever_has_drifted_is_repaired_in_one_run() {
    let place = attached(1);
    let host = &place.net.host;
    place.reload();
    let veth = &place.pod(0).host_interface;
    host.sh(["tc", "qdisc", "del", "dev", veth, "root"]);
    place
        .pod(0)
        .sh(["ip", "link", "set", "eth0", "mtu", "1300"]);
    let said = run(&place, &["reconcile", "--dry-run", "--json"]);
    assert_eq!((said.code, rows(&said)), (Some(10), all("drifted")));
    let said = run(&place, &["reconcile"]);
    assert_eq!(said.code, Some(10), "{said:?}");
    assert!(
        said.stdout
            .ends_with("\n1 attachment: 0 in order, 1 repaired\n"),
        "{said:?}"
    );
    for plugin in PLUGINS {
        assert!(
            said.stdout.contains(&format!("repaired  {plugin} ")),
            "{said:?}"
        );
        place.does(plugin, "CHECK", 0, &place.capabilities(0));
    }
    let said = run(&place, &["reconcile", "--json"]);
    assert_eq!((said.code, rows(&said)), (Some(0), all("ok")));
}

#[test]
fn whatever_a_dead_attachment_left_is_removed_in_one_run() {
    let place = attached(2);
    fs::remove_file(place.cache_file(0)).unwrap();
    let gc = ["gc", "--grace", "0", "--json"];
    let said = run(&place, &[&gc[..], &["--dry-run"]].concat());
    assert_eq!((said.code, rows(&said)), (Some(0), all("dead")));
    let said = run(&place, &gc);
    assert_eq!((said.code, rows(&said)), (Some(0), all("removed")));
    for plugin in PLUGINS {
        place.does(plugin, "CHECK", 1, &place.capabilities(1));
    }
}

#[test]
fn a_plugin_whose_state_cannot_be_read_keeps_the_others_from_nothing() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("portmap");
    fs::remove_file(place.cache_file(0)).unwrap();
    // A link that leads to itself.
    std::os::unix::fs::symlink(place.data_dir(), place.data_dir()).unwrap();
    let said = run(&place, &["gc", "--grace", "0", "--json"]);
    let removed = [("portmap".to_owned(), "removed".to_owned())];
    assert_eq!((said.code, rows(&said)), (Some(1), removed.into()));
    assert_eq!(said.json()["unreadable"][0]["plugin"], "tuning");
    assert!(said.stderr.contains("tuning"), "{said:?}");
    assert!(!place.rules().contains("8000"), "{}", place.rules());
}
