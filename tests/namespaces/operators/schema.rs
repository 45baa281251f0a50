//! What `--json` prints is as packaging/schemas/cnictl.schema.json says.

use std::fs;
use std::path::PathBuf;

use sandbox::probe::tcp::Server;
use serde_json::{Map, Value, json};

use super::broken::Node;
use super::place::{Backend, Said};
use crate::docs::places::{commands, help, options};

fn published() -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../packaging/schemas/cnictl.schema.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// The schema as it is for this release: no object has properties but those that it names.
fn closed(schema: Value) -> Value {
    match schema {
        Value::Array(all) => all.into_iter().map(closed).collect(),
        Value::Object(all) => {
            let inner = all.into_iter().map(|(name, inner)| (name, closed(inner)));
            let mut object: Map<String, Value> = inner.collect();
            // A property may have the name `properties`, which no output has.
            if object.contains_key("properties") {
                object.insert("additionalProperties".into(), json!(false));
            }
            Value::Object(object)
        }
        other => other,
    }
}

/// What is wrong with a document of a command.
fn faults(schema: &Value, document: &Value) -> Vec<String> {
    let schema = jsonschema::validator_for(schema).unwrap();
    let faults = schema.iter_errors(document);
    faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

/// The part of a schema that is about a command.
fn part(mut schema: Value, command: &str) -> Value {
    schema.as_object_mut().unwrap().remove("anyOf");
    schema["$ref"] = json!(format!("#/$defs/{command}"));
    schema
}

/// Whether a document is what the schema says of a command.
#[track_caller]
fn fits(command: &str, document: &Value) {
    let whole = closed(published());
    for schema in [part(whole.clone(), command), whole] {
        let faults = faults(&schema, document);
        assert!(faults.is_empty(), "{command}: {faults:?} {document}");
    }
}

#[test]
fn a_later_release_may_add_properties_and_this_one_prints_none_that_the_schema_lacks() {
    let row = json!({"severity": "ok", "object": "kernel", "message": "all is there", "run": null});
    let document = json!({"schema": 1, "findings": [row]});
    fits("doctor", &document);
    let mut added = [document.clone(), document];
    added[0]["later"] = json!(1);
    added[1]["findings"][0]["later"] = json!(1);
    for document in added {
        let open = part(published(), "doctor");
        assert_eq!(faults(&open, &document), Vec::<String>::new());
        assert_ne!(faults(&closed(open), &document), Vec::<String>::new());
    }
}

/// Commands that run a network print what its plugins answer.
const OF_NETWORKS: [&str; 5] = ["add", "check", "del", "status", "version"];

#[test]
fn the_schema_has_every_command_that_shows_the_node_with_json() {
    let schema = published();
    let with_json = |command: &String| options(&help("cnictl", Some(command))).contains("--json");
    let commands: Vec<String> = commands(&help("cnictl", None))
        .into_iter()
        .filter(with_json)
        .collect();
    assert!(
        OF_NETWORKS
            .iter()
            .all(|one| commands.iter().any(|command| command == one))
    );
    for command in commands {
        let part = json!({"$ref": format!("#/$defs/{command}")});
        let is_in = schema["anyOf"].as_array().unwrap().contains(&part);
        assert_ne!(is_in, OF_NETWORKS.contains(&command.as_str()), "{command}");
    }
}

/// Runs a command; its document fits and its list has so many entries at least.
#[track_caller]
fn prints(node: &Node, line: &str, list: &str, least: usize) -> Value {
    let said = node.run(&format!("{line} --json"));
    let document = said.json();
    fits(line.split(' ').next().unwrap(), &document);
    let count = document[list].as_array().map_or(0, Vec::len);
    assert!(count >= least, "{line}: {said:?}");
    document
}

/// Runs a command of the node without its own cache.
fn alone(node: &Node, line: &[&str]) -> Said {
    let call = sandbox::plugin::Call::bare("cnictl").arguments(line);
    Said::of(call.run(&node.place.net.host).unwrap())
}

#[test]
fn every_command_prints_one_document_of_the_schema() {
    let mut node = Node::new(Backend::IptablesNft);
    for plugin in ["tuning", "portmap", "bandwidth"] {
        node.place.attach(plugin, 1, &node.place.capabilities(1));
    }
    node.place.name_pod(0, "shop", "web-0");
    node.host(
        "iptables-nft -t nat -I PREROUTING -p tcp --dport 8000 -j DNAT --to 10.9.9.9:1
         sysctl -qw net.ipv4.ip_forward=0",
    );
    node.server = Some(Server::start(&node.place.net.host, 8000, "node").unwrap());
    let data = node.place.data_dir().display().to_string();
    let sysctls = format!("sysctls --data-dir {data}");
    let tables = [
        ("ports", "portMappings", 4),
        ("who 8000", "listeners", 1),
        ("limits", "limits", 4),
        (&sysctls, "changes", 2),
        ("reconcile --dry-run", "attachments", 6),
        ("doctor", "findings", 10),
        ("explain 8000", "findings", 3),
        ("gc --dry-run", "attachments", 0),
    ];
    for (line, list, least) in tables {
        prints(&node, line, list, least);
    }
    let states = |document: &Value, list: &str| -> Vec<String> {
        let mut states: Vec<String> = document[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].as_str().unwrap().to_owned())
            .collect();
        states.sort();
        states.dedup();
        states
    };
    let ports = prints(&node, "ports", "portMappings", 4);
    assert_eq!(states(&ports, "portMappings"), ["active", "contested"]);
    // What is missing, what is nobody's, and what cannot be read.
    node.place.reload();
    let ports = prints(&node, "ports", "portMappings", 4);
    assert_eq!(states(&ports, "portMappings"), ["missing"]);
    let repaired = prints(&node, "reconcile", "attachments", 6);
    assert_eq!(states(&repaired, "attachments"), ["ok", "repaired"]);
    fs::remove_file(node.place.cache_file(1)).unwrap();
    for (line, list, least) in tables {
        prints(&node, line, list, least.min(3));
    }
    let dead = prints(&node, "gc --dry-run", "attachments", 3);
    assert_eq!(states(&dead, "attachments"), ["dead"]);
    fs::write(node.place.cache_dir().join("results/net1-x-eth0"), "torn").unwrap();
    for (line, ..) in tables.iter().filter(|(_, list, _)| *list != "findings") {
        if *line != "gc --dry-run" {
            prints(&node, line, "unreadable", 1);
        }
    }
    let conf_dir = node.conf_dir();
    fs::write(
        conf_dir.join("20-x.conflist"),
        r#"{"name": "x", "plugin": []}"#,
    )
    .unwrap();
    let lint = alone(&node, &["lint", &conf_dir.display().to_string(), "--json"]);
    fits("lint", &lint.json());
    assert_ne!(lint.json()["findings"], json!([]));
    let error = alone(&node, &["ports", "--cache-dir", "/nowhere", "--json"]);
    assert_eq!(error.code, Some(1), "{error:?}");
    fits("error", &error.json());
}
