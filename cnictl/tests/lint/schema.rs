//! packaging/schemas are what the tables of keys say, and every configuration of the project fits them.
//! `UPDATE_SCHEMAS=1` writes them.

use std::fs;

use cnictl::lint::{ours, part::own_keys};
use cnictl::plugins::Plugin;
use common::keys::{self, Key, Kind};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::configurations::{lists, root};
use super::wrong;

/// A number with a prefix and a unit, as bandwidth's page has it.
const AMOUNT: &str = "^[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?([kKMGT]i?)?(bit|B)?$";

/// What a value of a kind may be. `null` is the same as absence.
fn of(kind: Kind) -> Value {
    match kind {
        Kind::Any => json!({}),
        Kind::Text => json!({"type": ["string", "null"]}),
        Kind::OneOf(names) => {
            let names = names.iter().map(|name| json!(name));
            json!({"enum": names.chain([Value::Null]).collect::<Vec<_>>()})
        }
        Kind::Boolean => json!({"type": ["boolean", "null"]}),
        Kind::Integer(least, most) => {
            json!({"type": ["integer", "null"], "minimum": least, "maximum": most})
        }
        Kind::Amount(least, most) => json!({
            "type": ["number", "string", "null"],
            "minimum": least, "maximum": most, "pattern": AMOUNT,
        }),
        Kind::Strings => json!({"type": ["array", "null"], "items": {"type": "string"}}),
        Kind::Booleans => json!({
            "type": ["object", "null"], "additionalProperties": {"type": ["boolean", "null"]},
        }),
        Kind::Values => json!({
            "type": ["object", "null"],
            "additionalProperties": {"type": ["string", "integer", "null"]},
        }),
        Kind::Object(inner) => json!({"type": ["object", "null"], "properties": properties(inner)}),
        Kind::Objects(inner, required) => {
            let names: Vec<&str> = inner.iter().take(required).map(|key| key.name).collect();
            let mut properties = properties(inner);
            for name in &names {
                require(&mut properties[*name]);
            }
            let items = json!({"type": "object", "properties": properties, "required": names});
            json!({"type": ["array", "null"], "items": items})
        }
    }
}

/// Takes the values that are the same as absence from what may be.
fn require(value: &mut Value) {
    let kinds = value["type"].as_array().cloned().unwrap_or_default();
    let [kind, ..] = kinds.as_slice() else {
        return;
    };
    value["type"] = kind.clone();
    if kind == "string" {
        value["minLength"] = json!(1);
    }
}

fn properties<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Map<String, Value> {
    let keys = keys.into_iter();
    keys.map(|key| (key.name.to_owned(), of(key.kind)))
        .collect()
}

/// The schema of a plugin's part.
fn part(plugin: Plugin) -> Value {
    let own = own_keys(plugin).iter().copied().flatten();
    let mut properties = properties(keys::SHARED.iter().chain(own));
    properties.insert("type".into(), json!({"const": plugin.name()}));
    json!({
        "title": format!("{}: its part of a CNI configuration list", plugin.name()),
        "type": "object",
        "properties": properties,
        "required": ["type"],
    })
}

fn list() -> Value {
    let chosen = |plugin: Plugin| {
        let name = plugin.name();
        json!({
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"$ref": format!("#/$defs/{name}")},
        })
    };
    let mut properties = properties(keys::LIST);
    properties["plugins"]["items"]["allOf"] = ours().map(chosen).collect();
    let parts: Map<String, Value> = ours().map(|p| (p.name().to_owned(), part(p))).collect();
    json!({
        "title": "A CNI configuration list with tuning, portmap or bandwidth in it",
        "type": "object",
        "properties": properties,
        "required": ["name", "plugins"],
        "$defs": parts,
    })
}

/// The files, by name.
fn schemas() -> Vec<(String, Value)> {
    let parts = ours().map(|plugin| (plugin.name().to_owned(), part(plugin)));
    let all = parts.chain([("conflist".to_owned(), list())]);
    all.map(|(name, schema)| {
        let mut whole = Map::new();
        let draft = "https://json-schema.org/draft/2020-12/schema";
        whole.insert("$schema".into(), draft.into());
        whole.extend(schema.as_object().unwrap().clone());
        (format!("{name}.schema.json"), Value::Object(whole))
    })
    .collect()
}

#[test]
fn the_schemas_are_what_the_tables_of_keys_say() {
    for (name, schema) in schemas() {
        let file = root().join("packaging/schemas").join(&name);
        let text = format!("{schema:#}\n");
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let is_same = fs::read_to_string(&file).is_ok_and(|found| found == text);
        assert!(
            is_same,
            "{name} is out of date: run the test with UPDATE_SCHEMAS=1"
        );
    }
}

fn validator() -> Validator {
    jsonschema::draft202012::meta::validate(&list()).unwrap();
    jsonschema::draft202012::new(&list()).unwrap()
}

#[test]
fn every_configuration_of_the_project_fits() {
    let validator = validator();
    for (place, list) in lists() {
        let faults: Vec<String> = validator
            .iter_errors(&list)
            .map(|e| e.to_string())
            .collect();
        assert!(faults.is_empty(), "{place}: {list}\n{faults:#?}");
    }
}

/// What the plugins refuse, too (`common/src/netconf.rs`, `portmap/src/mapping.rs`).
#[test]
fn what_is_required_may_be_neither_left_out_nor_null_nor_empty() {
    let validator = validator();
    let whole = [
        (
            "cni.dev/valid-attachments",
            json!({"containerID": "a", "ifname": "eth0"}),
        ),
        (
            "cni.dev/attachments",
            json!({"containerID": "a", "ifname": "eth0"}),
        ),
        (
            "portMappings",
            json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}),
        ),
    ];
    let list = |key: &str, item: &Value| {
        let part = match key {
            "portMappings" => json!({"type": "portmap", "runtimeConfig": {key: [item]}}),
            key => json!({"type": "portmap", key: [item]}),
        };
        json!({"name": "n", "plugins": [part]})
    };
    for (key, item) in whole {
        assert!(validator.is_valid(&list(key, &item)), "{key}");
        for name in item.as_object().unwrap().keys() {
            for lacking in [None, Some(Value::Null), Some(json!(""))] {
                let mut item = item.clone();
                match lacking {
                    Some(value) => item[name] = value,
                    None => drop(item.as_object_mut().unwrap().remove(name)),
                }
                assert!(!validator.is_valid(&list(key, &item)), "{key}: {item}");
            }
        }
    }
    for kind in [Value::Null, json!("")] {
        let list = json!({"name": "n", "plugins": [{"type": kind}]});
        assert!(!validator.is_valid(&list), "{list}");
    }
}

#[test]
fn values_of_the_wrong_type_do_not_fit() {
    let validator = validator();
    let mut count = 0;
    for (part, expected) in wrong::PARTS {
        let text = format!("{}{}]}}", super::MAIN, part.replace('@', super::PORTS));
        let list = serde_json::from_str(&text).unwrap();
        let is_typed = |line: &&str| line.contains("expected an") || line.contains("expected a ");
        if expected.iter().any(is_typed) {
            assert!(!validator.is_valid(&list), "{text}");
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}
