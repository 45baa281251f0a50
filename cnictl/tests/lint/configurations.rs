//! Every configuration of the project: examples, documentation, recorded requests. Nothing is found in
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::found;

/// The project's directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

const OURS: [&str; 3] = ["tuning", "portmap", "bandwidth"];

/// All of them as lists, with where they are from.
pub fn lists() -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = examples();
    all.extend(documentation());
    all.extend(recorded());
    all.extend(sampled());
    assert!(all.len() > 150, "{}", all.len());
    all
}

/// Every file below a directory.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_kept = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name != "target" && !name.starts_with('.')
    };
    let mut files: Vec<PathBuf> = entries
        .filter(is_kept)
        .flat_map(|path| match path.is_dir() {
            true => below(&path),
            false => vec![path],
        })
        .collect();
    files.sort();
    files
}

fn examples() -> Vec<(String, Value)> {
    let files = below(&root().join("packaging/examples")).into_iter();
    let read = |file: PathBuf| {
        let list = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        (file.display().to_string(), list)
    };
    files.map(read).collect()
}

/// The blocks of JSON that are configurations.
fn documentation() -> Vec<(String, Value)> {
    let pages = below(&root()).into_iter();
    let pages = pages.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let mut all = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let blocks = text.split("```json").skip(1);
        for (number, block) in blocks.enumerate() {
            let (head, rest) = block.split_once('\n').unwrap();
            let body = rest.split("```").next().unwrap();
            if head.contains("no-run") {
                continue;
            }
            let value: Value = serde_json::from_str(body).unwrap();
            let list = match value.get("plugins") {
                Some(_) => value,
                None => list("1.1.0", "n", value),
            };
            all.push((format!("{}, block {number}", page.display()), list));
        }
    }
    all
}

/// The requests of real runtimes that the reference served.
fn recorded() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for file in below(&root().join("testdata/captures")) {
        let capture: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for (number, call) in capture["calls"].as_array().unwrap().iter().enumerate() {
            let is_served = call["rc"] == 0
                && call["command"] != "VERSION"
                && OURS.iter().any(|name| call["plugin"] == *name);
            if is_served && let Ok(conf) = serde_json::from_str(call["stdin_raw"].as_str().unwrap())
            {
                all.push((
                    format!("{}, call {number}", file.display()),
                    of_request(conf),
                ));
            }
        }
    }
    all
}

/// The requests of the samples that the reference served.
fn sampled() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for directory in ["bandwidth", "portmap", "tuning"] {
        for file in below(&root().join("testdata").join(directory)) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let is_add = name == "ADD.request.json" || name == "ADD.json";
            let answer = file.with_file_name("ADD.stdout");
            let Some(answer) = is_add.then(|| fs::read_to_string(answer).ok()).flatten() else {
                continue;
            };
            if answer.contains("\"code\"") || !answer.trim_start().starts_with('{') {
                continue;
            }
            let conf = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            all.push((file.display().to_string(), of_request(conf)));
        }
    }
    all
}

/// The list that a runtime made a request from: what it fills in is declared in `capabilities`.
fn of_request(conf: Value) -> Value {
    let Value::Object(mut conf) = conf else {
        panic!("{conf}")
    };
    conf.remove("prevResult");
    let keys: Vec<String> = conf
        .keys()
        .filter(|key| key.starts_with("cni.dev/"))
        .cloned()
        .collect();
    keys.iter().for_each(|key| drop(conf.remove(key)));
    let sent = conf.remove("runtimeConfig").unwrap_or(json!({}));
    let asked: Map<String, Value> = sent
        .as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), json!(true)))
        .collect();
    // One of the samples is of a portmap that got no ports, and was not written by a runtime.
    if conf["type"] == "portmap" && !conf.contains_key("capabilities") {
        conf.insert("capabilities".into(), json!({"portMappings": true}));
    }
    if !asked.is_empty() {
        conf.insert("capabilities".into(), Value::Object(asked));
    }
    let text = |value: Option<Value>| {
        value
            .and_then(|v| Some(v.as_str()?.to_owned()))
            .unwrap_or_default()
    };
    let (version, name) = (text(conf.remove("cniVersion")), text(conf.remove("name")));
    list(&version, &name, Value::Object(conf))
}

fn list(version: &str, name: &str, part: Value) -> Value {
    json!({"cniVersion": version, "name": name, "plugins": [{"type": "ptp"}, part]})
}

#[test]
fn nothing_is_found_in_what_is_right() {
    let mut alarms = Vec::new();
    for (place, list) in lists() {
        let found = found("a.conflist", &list.to_string());
        if !found.is_empty() {
            alarms.push(format!("{place}: {list}\n{}", found.join("\n")));
        }
    }
    assert!(alarms.is_empty(), "{}", alarms.join("\n\n"));
}
