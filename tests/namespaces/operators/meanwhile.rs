//! `gc` and `reconcile` while a runtime is at work: it adds what they do not know yet, and deletes what
//! they have just seen.

use std::fs;

use super::place::{Backend, Place, Said, on_every_backend};
use crate::faults::{held_before, held_when};

on_every_backend!(
    what_is_added_while_gc_waits_lives,
    a_deletion_while_reconcile_looks_is_not_undone,
    a_deletion_that_ends_after_a_repair_takes_it_back,
    what_the_runtime_makes_anew_after_a_repair_is_what_it_gets,
    who_comes_into_the_cache_after_its_removal_is_put_back,
);

/// Runs a command, and something in its grace time.
#[track_caller]
fn waiting(place: &Place, call: (&str, &[&str]), meanwhile: impl FnOnce()) -> Said {
    waiting_for(1, place, call, meanwhile)
}

/// The same in the nth of them.
#[track_caller]
fn waiting_for(
    nth: usize,
    place: &Place,
    (plugin, line): (&str, &[&str]),
    meanwhile: impl FnOnce(),
) -> Said {
    let call = place.command(plugin, line);
    let grace = ("clock_nanosleep", "tv_sec=1,", nth);
    let answer = held_when(&place.net.host, &call, grace, meanwhile);
    Said::of(answer.expect("it never came that far"))
}

/// Runs a command, and something before one of its system calls.
#[track_caller]
fn held(
    place: &Place,
    (plugin, line): (&str, &[&str]),
    at: (&str, usize),
    meanwhile: impl FnOnce(),
) -> Said {
    let call = place.command(plugin, line);
    let answer = held_before(&place.net.host, &call, at, meanwhile);
    Said::of(answer.expect("it never came that far"))
}

const GC: &[&str] = &["gc", "--grace", "1", "--json"];
const RECONCILE: &[&str] = &["reconcile", "--grace", "1", "--json"];

fn what_is_added_while_gc_waits_lives(backend: Backend) {
    let place = Place::new(backend, 3);
    let attach = |index| place.does("portmap", "ADD", index, &place.capabilities(index));
    // The cache knows the network by this one.
    place.attach("portmap", 2, &place.capabilities(2));
    attach(0);
    let said = waiting(&place, ("portmap", GC), || {
        // The chain is not done yet, so this is not in the cache.
        attach(1);
    });
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["removed".into()]),
        "{said:?}"
    );
    for index in [1, 2] {
        place.does("portmap", "CHECK", index, &place.capabilities(index));
    }
    assert!(!place.rules().contains("8000"), "{}", place.rules());
}

#[test]
fn limits_and_backups_that_are_added_while_gc_waits_live() {
    for plugin in ["tuning", "bandwidth"] {
        let place = Place::new(Backend::Nftables, 3);
        let attach = |index| place.does(plugin, "ADD", index, &place.capabilities(index));
        place.attach(plugin, 2, &place.capabilities(2));
        attach(0);
        let said = waiting(&place, (plugin, GC), || {
            attach(1);
        });
        assert_eq!(said.states(), ["removed"], "{said:?}");
        for index in [1, 2] {
            place.does(plugin, "CHECK", index, &place.capabilities(index));
        }
        if plugin == "tuning" {
            assert_eq!(fs::read_dir(place.data_dir()).unwrap().count(), 2);
        }
    }
}

/// Two are dead. While the first is being removed, the runtime remembers the second.
#[test]
fn who_comes_into_the_cache_while_gc_removes_others_lives() {
    let place = Place::new(Backend::Nftables, 3);
    place.attach("tuning", 2, &place.capabilities(2));
    for index in [0, 1] {
        place.does("tuning", "ADD", index, &place.capabilities(index));
    }
    let said = held(&place, ("tuning", GC), ("unlink", 1), || {
        place.remember(1, &place.capabilities(1));
    });
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["removed".into(), "left".into()]),
        "{said:?}"
    );
    place.does("tuning", "CHECK", 1, &place.capabilities(1));
    assert_eq!(fs::read_dir(place.data_dir()).unwrap().count(), 2);
}

/// From then on nobody is known to be dead.
#[test]
fn a_cache_that_becomes_unreadable_while_gc_removes_ends_the_removals() {
    let place = Place::new(Backend::Nftables, 3);
    place.attach("tuning", 2, &place.capabilities(2));
    for index in [0, 1] {
        place.does("tuning", "ADD", index, &place.capabilities(index));
    }
    let said = held(&place, ("tuning", GC), ("unlink", 1), || {
        fs::write(place.cache_file(1), "{\"kind\":\"cni").unwrap();
    });
    assert_eq!(
        (said.code, said.states()),
        (Some(1), vec!["removed".into(), "failed".into()]),
        "{said:?}"
    );
    assert_eq!(fs::read_dir(place.data_dir()).unwrap().count(), 2);
}

fn a_deletion_while_reconcile_looks_is_not_undone(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach_all("portmap");
    place.reload();
    let rules = place.rules();
    // Its first socket is opened after the cache was read.
    let said = held(&place, ("portmap", RECONCILE), ("socket", 1), || {
        for index in 0..2 {
            fs::remove_file(place.cache_file(index)).unwrap();
        }
    });
    assert_eq!(
        (said.code, said.states()),
        (Some(0), vec!["deleted".into(); 2]),
        "{said:?}"
    );
    assert_eq!(place.rules(), rules);
}

fn a_deletion_that_ends_after_a_repair_takes_it_back(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach_all("portmap");
    place.reload();
    let said = waiting(&place, ("portmap", RECONCILE), || {
        // The plugin's own DEL was before.
        assert!(place.rules().contains("8000"), "{}", place.rules());
        fs::remove_file(place.cache_file(0)).unwrap();
    });
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["deleted".into(), "repaired".into()]),
        "{said:?}"
    );
    assert!(!place.rules().contains("8000"), "{}", place.rules());
    place.does("portmap", "CHECK", 1, &place.capabilities(1));
}

fn what_the_runtime_makes_anew_after_a_repair_is_what_it_gets(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    place.reload();
    let anew = place.asking(&[8500]);
    let said = waiting(&place, ("portmap", RECONCILE), || {
        place.remember(0, &anew);
    });
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["repaired".into()]),
        "{said:?}"
    );
    place.does("portmap", "CHECK", 0, &anew);
    assert!(!place.rules().contains("8000"), "{}", place.rules());
}

/// Its ADD was under way: what looked dead was its own work.
fn who_comes_into_the_cache_after_its_removal_is_put_back(backend: Backend) {
    for plugin in ["portmap", "bandwidth", "tuning"] {
        let place = Place::new(backend, 2);
        place.attach(plugin, 1, &place.capabilities(1));
        place.does(plugin, "ADD", 0, &place.capabilities(0));
        let said = waiting_for(2, &place, (plugin, GC), || {
            assert!(!place.rules().contains("8000"), "{}", place.rules());
            place.remember(0, &place.capabilities(0));
        });
        assert_eq!(
            (said.code, said.states()),
            (Some(0), vec!["restored".into()]),
            "{said:?}"
        );
        for index in [0, 1] {
            place.does(plugin, "CHECK", index, &place.capabilities(index));
        }
    }
}
