//! The blocks of every document, run.

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};

use super::markdown::{Block, Document, Node, Part, documents};
use super::session::{Expected, Step, quote, run};

/// What a runtime would send for each capability.
const CAPABILITIES: [(&str, &str); 3] = [
    ("portMappings", "--publish 18080:80 --publish 18053:53/udp"),
    ("bandwidth", "--ingress 10M --egress 10M"),
    ("mac", "--mac 02:00:5e:10:00:0a"),
];

#[test]
fn every_example_does_what_the_documentation_says() {
    let documents = documents();
    let faults: Vec<String> = thread::scope(|scope| {
        let sessions: Vec<_> = documents
            .iter()
            .flat_map(nodes)
            .map(|(steps, node)| scope.spawn(move || run(&steps, node)))
            .collect();
        let faults = sessions.into_iter().map(|session| session.join().unwrap());
        faults.flatten().collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// The documents have something to run: an error of the reader would otherwise pass for success.
#[test]
fn every_page_of_a_plugin_has_a_session_and_a_configuration() {
    let mut steps: BTreeMap<String, usize> = BTreeMap::new();
    for document in documents() {
        let all = nodes(&document).into_iter();
        let count = all.map(|(steps, _)| steps.len()).sum();
        steps.insert(document.path, count);
    }
    let pages =
        ["tuning", "portmap", "bandwidth", "operations"].map(|name| format!("docs/{name}.md"));
    for page in pages.iter().map(String::as_str).chain(["README.md"]) {
        assert!(steps[page] >= 10, "{page} has {} steps", steps[page]);
    }
}

/// What is to be run on each node of a document: its sessions, and, on a node of its own, each of its
/// configurations.
fn nodes(document: &Document) -> Vec<(Vec<Step>, Node)> {
    let mut nodes = vec![(Vec::new(), Node::Ours)];
    let mut configurations = Vec::new();
    for part in document.parts() {
        let block = match part {
            Part::FreshNode(node) => {
                nodes.push((Vec::new(), node));
                continue;
            }
            Part::Block(block) if block.no_run.is_some() => continue,
            Part::Block(block) => block,
        };
        let place = format!("{}:{}", document.path, block.line);
        let steps = match block.language.as_str() {
            "" | "console" => session(&place, &block),
            "sh" => commands(&place, &block),
            "json" => {
                configurations.push((configuration(&place, &block), Node::Ours));
                written(&place, &block)
            }
            other => panic!("{place}: what is to be done with {other:?}? Say `no-run: REASON`"),
        };
        if let Some((node, _)) = nodes.last_mut() {
            node.extend(steps);
        }
    }
    nodes.extend(configurations);
    nodes.retain(|(steps, _)| !steps.is_empty());
    nodes
}

fn step(place: &str, command: impl Into<String>, expected: Expected) -> Step {
    Step {
        place: place.to_owned(),
        command: command.into(),
        expected,
    }
}

/// Commands with what they print. Those without succeed.
fn session(place: &str, block: &Block) -> Vec<Step> {
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.text.lines() {
        let line = line.strip_prefix("   ").unwrap_or(line);
        match (line.strip_prefix("# "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
            (None, Some((command, output))) if command.ends_with('\\') && output.is_empty() => {
                command.push('\n');
                command.push_str(line);
            }
            (None, Some((_, output))) => output.push(line.to_owned()),
            (None, None) => panic!("{place}: begins with no command: {line}"),
        }
    }
    let says_nothing = |line: &String| ["", "…"].contains(&line.trim());
    let expected = |output: Vec<String>| match output.iter().all(says_nothing) {
        true => Expected::Success,
        false => Expected::Output(output),
    };
    let steps = steps.into_iter();
    steps
        .map(|(command, output)| step(place, command, expected(output)))
        .collect()
}

fn commands(place: &str, block: &Block) -> Vec<Step> {
    let text = block.text.replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| step(place, line, Expected::Success))
        .collect()
}

/// Writes a block to its file.
fn written(place: &str, block: &Block) -> Vec<Step> {
    let Some(file) = &block.file else {
        return Vec::new();
    };
    let command = format!("printf %s {} > {file}", quote(&block.text));
    vec![step(place, command, Expected::Success)]
}

/// STATUS, ADD, CHECK and DEL of a configuration list, or of one plugin behind `veth`.
fn configuration(place: &str, block: &Block) -> Vec<Step> {
    let parsed: Result<Value, _> = serde_json::from_str(&block.text);
    let value = parsed.unwrap_or_else(|error| panic!("{place}: {error}"));
    let list = match value.get("plugins") {
        Some(_) => value,
        None => behind_veth(value),
    };
    attach(place, &list, &wishes(&list))
}

/// A list with one plugin.
pub fn behind_veth(plugin: Value) -> Value {
    json!({
        "cniVersion": "1.1.0",
        "name": "example",
        "plugins": [
            {"type": "veth", "addresses": [
                {"address": "10.9.0.2/24", "gateway": "10.9.0.1"},
                {"address": "fd09::2/64", "gateway": "fd09::1"},
            ]},
            plugin,
        ],
    })
}

/// The options of the runner that stand for the capabilities of a list.
fn wishes(list: &Value) -> String {
    let plugins = list["plugins"].as_array().unwrap();
    let wanted = |name: &str| {
        plugins
            .iter()
            .any(|plugin| plugin["capabilities"][name] == true)
    };
    let options = CAPABILITIES.into_iter().filter(|(name, _)| wanted(name));
    options
        .map(|(_, option)| option)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A namespace gets the list, keeps it, and loses it.
pub fn attach(place: &str, list: &Value, options: &str) -> Vec<Step> {
    let has_status = list["cniVersion"] == "1.1.0";
    let text = quote(&list.to_string());
    let lines = [
        format!("printf %s {text} > example.conflist"),
        "ip netns add example".to_owned(),
        if has_status {
            "cnictl status ./example.conflist"
        } else {
            "true"
        }
        .to_owned(),
        format!("cnictl add ./example.conflist example {options}"),
        "cnictl check ./example.conflist example".to_owned(),
        "cnictl del ./example.conflist example".to_owned(),
        "ip netns del example".to_owned(),
    ];
    lines
        .map(|line| step(place, line, Expected::Success))
        .into()
}
