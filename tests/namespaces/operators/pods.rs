//! Pods have names, and rows are chosen and ordered by them.

use serde_json::{Value, json};

use super::place::{Backend, NETWORK, Place};

/// Two pods with names, and one that no runtime of Kubernetes made.
fn named() -> Place {
    let place = Place::new(Backend::IptablesNft, 3);
    for plugin in ["tuning", "portmap", "bandwidth"] {
        place.attach_all(plugin);
    }
    place.name_pod(0, "shop", "web-0");
    place.name_pod(1, "default", "db-0");
    place
}

/// The pods of a command's rows.
#[track_caller]
fn pods(place: &Place, line: &[&str]) -> Vec<Value> {
    let said = place.run("", &[line, &["--json"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let document = said.json();
    let lists = ["portMappings", "limits", "changes"];
    let rows = lists.iter().find_map(|list| document[list].as_array());
    rows.unwrap().iter().map(|row| row["pod"].clone()).collect()
}

#[test]
fn every_table_names_pods_and_the_beginning_of_a_container() {
    let place = named();
    for command in ["ports", "limits", "sysctls"] {
        let mut all = pods(&place, &[command]);
        all.dedup();
        for pod in [json!("shop/web-0"), json!("default/db-0"), Value::Null] {
            assert!(all.contains(&pod), "{command}: {all:?}");
        }
        for width in ["80", "400"] {
            let said = place.run_with("", &[command], &[("COLUMNS", width)]);
            let has = |text: &str| said.stdout.contains(text);
            assert!(
                has("POD") && has("shop/web-0") && has("default/db-0"),
                "{said:?}"
            );
            // The third has no other name.
            assert!(
                has(&place.id(2)[..9]) && !has(&place.id(2)[..13]),
                "{said:?}"
            );
        }
    }
    let said = place.run("portmap", &["reconcile", "--verbose", "--json"]);
    assert_eq!(said.json()["attachments"][0]["pod"], "shop/web-0");
}

#[test]
fn rows_are_chosen_by_pod_network_and_port() {
    let place = named();
    for command in ["ports", "limits", "sysctls"] {
        let (web, db) = (json!("shop/web-0"), json!("default/db-0"));
        let two = |pod: &Value| vec![pod.clone(); 2];
        assert_eq!(pods(&place, &[command, "--pod", "shop/web-0"]), two(&web));
        assert_eq!(pods(&place, &[command, "--pod", "db-0"]), two(&db));
        assert!(pods(&place, &[command, "--pod", "other/db-0"]).is_empty());
        assert_eq!(pods(&place, &[command, "--network", NETWORK]).len(), 6);
        assert!(pods(&place, &[command, "--network", "other"]).is_empty());
    }
    let only = |port: &str| pods(&place, &["ports", "--port", port]);
    assert_eq!(only("8001/tcp"), [json!("default/db-0")]);
    assert_eq!(only("9000"), [json!("shop/web-0")]);
    assert!(only("8001/udp").is_empty());
}

#[test]
fn rows_are_ordered_by_any_column() {
    let place = named();
    let ordered = |column: &str| pods(&place, &["limits", "--sort", column]);
    let by_name = ordered("POD");
    assert_eq!(
        by_name[2..4],
        ["default/db-0", "default/db-0"],
        "{by_name:?}"
    );
    let rates = place
        .run("", &["limits", "--sort", "rate", "--json"])
        .json();
    assert_eq!(rates["limits"][0]["direction"], "egress");
    let said = place.run("", &["ports", "--sort", "colour"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("packets"), "{said:?}");
}
