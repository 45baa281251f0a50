//! `gc`: what the cache does not have goes, and nothing else.

use std::fs;

use super::place::{Backend, Place, on_every_backend};

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
