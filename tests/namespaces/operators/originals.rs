//! `sysctls`.

use serde_json::{Value, json};

use super::place::{Backend, Place};

fn listed(place: &Place) -> Vec<Value> {
    let dir = place.data_dir().display().to_string();
    let said = place.run("tuning", &["sysctls", "--json", "--data-dir", &dir]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let all = said.json()["changes"].as_array().unwrap().clone();
    all.into_iter()
        .map(|one| {
            json!([
                one["network"],
                one["container"],
                one["what"],
                one["before"],
                one["now"]
            ])
        })
        .collect()
}

#[test]
fn what_was_changed_is_listed_with_what_it_was() {
    let place = Place::new(Backend::Nftables, 1);
    let before = place.pod(0).sysctl("net.core.somaxconn").unwrap();
    place.attach_all("tuning");
    let expected = [
        json!([
            "net1",
            place.id(0),
            "net/core/somaxconn",
            before.trim(),
            "500"
        ]),
        json!(["net1", place.id(0), "mtu", "1500", "1400"]),
    ];
    assert_eq!(listed(&place), expected);
}

#[test]
fn without_a_cache_the_present_values_are_unknown() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("tuning");
    std::fs::remove_file(place.cache_file(0)).unwrap();
    let all = listed(&place);
    assert_eq!(all[1], json!(["net1", place.id(0), "mtu", "1500", null]));
}

#[test]
fn the_reference_s_backups_are_listed() {
    let place = Place::new(Backend::Nftables, 1);
    place.does("/usr/lib/cni/tuning", "ADD", 0, &place.capabilities(0));
    place.remember(0, &place.capabilities(0));
    let expected = [json!(["net1", place.id(0), "mtu", "1500", "1400"])];
    assert_eq!(listed(&place), expected);
}

#[test]
fn a_line_fits_into_80_columns() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("tuning");
    let dir = place.data_dir().display().to_string();
    let line = ["sysctls", "--data-dir", &dir];
    let said = place.run_with("tuning", &line, &[("COLUMNS", "80")]);
    assert_eq!(said.stdout.lines().count(), 3, "{said:?}");
    assert!(
        said.stdout.lines().all(|line| line.chars().count() <= 80),
        "{said:?}"
    );
}
