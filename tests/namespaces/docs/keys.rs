//! The tables of keys: every key in them is one that its plugin reads, with the example given, and
//! every key that a plugin reads is in them.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use serde_json::{Value, json};

use super::examples::{attach, behind_veth};
use super::markdown::{Node, document, root};
use super::session::{Expected, Step, quote, run};

const PLUGINS: [&str; 3] = ["tuning", "portmap", "bandwidth"];
/// The head of a table of keys.
const HEAD: [&str; 6] = ["key", "type", "unit", "default", "example", "since"];
/// The page of the keys that every plugin reads.
const SHARED: &str = "docs/configuration.md";

/// Words in the sources that read a configuration, which are no keys of it.
const NO_KEYS: [&str; 17] = [
    "fq_codel", "fifo", "auto", "literal", "ingress", "egress", "iptables", "nftables", "replace",
    "error", "portmap", "tcp", "udp", "sctp", "IPv4", "IPv6", "vers",
];

/// A row of a table.
#[derive(Debug, Clone)]
pub struct Key {
    pub path: String,
    example: Value,
}

/// The keys of a page.
pub fn keys(page: &str) -> Vec<Key> {
    let code = |cell: &str| cell.trim_matches('`').to_owned();
    let rows = document(page).rows(HEAD).into_iter();
    rows.map(|[path, kind, _, default, example, since]| {
        assert!(!kind.is_empty() && !default.is_empty(), "{page}: {path}");
        assert!(
            since.starts_with(|c: char| c.is_ascii_digit()),
            "{page}: {path}: since {since:?}"
        );
        let read = serde_json::from_str(&code(&example));
        let example = read.unwrap_or_else(|error| panic!("{page}: {path} = {example}: {error}"));
        Key {
            path: code(&path),
            example,
        }
    })
    .collect()
}

#[test]
fn every_key_is_taken_with_its_example_and_refused_with_another_type() {
    let tried = |plugin: &str| {
        let page = format!("docs/{plugin}.md");
        let keys = keys(&page);
        assert!(keys.len() >= 10, "{page} has {} keys", keys.len());
        let steps: Vec<Step> = keys.iter().flat_map(|key| trials(plugin, key)).collect();
        run(&steps, Node::Ours)
    };
    let faults = thread::scope(|scope| {
        let all = PLUGINS.map(|plugin| scope.spawn(move || tried(plugin)));
        all.map(|one| one.join().unwrap()).concat()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_shared_key_is_taken_and_refused_by_every_plugin() {
    let keys = keys(SHARED);
    assert!(keys.len() >= 5, "{SHARED} has {} keys", keys.len());
    let veth = behind_veth(json!({"type": "bandwidth"})).to_string();
    let setup = format!(
        "printf %s {} > a.conflist && ip netns add a && cnictl add ./a.conflist a",
        quote(&veth)
    );
    let mut steps = vec![Step {
        place: SHARED.into(),
        command: setup,
        expected: Expected::Success,
    }];
    for plugin in PLUGINS {
        steps.extend(keys.iter().flat_map(|key| shared_trials(plugin, key)));
    }
    let faults = run(&steps, Node::Ours);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_key_that_a_plugin_reads_is_on_its_page() {
    let sources = [
        ("docs/tuning.md", &["tuning/src/config.rs"][..]),
        (
            "docs/portmap.md",
            &[
                "portmap/src/config.rs",
                "portmap/src/limits.rs",
                "portmap/src/mapping.rs",
            ],
        ),
        (
            "docs/bandwidth.md",
            &["bandwidth/src/config.rs", "bandwidth/src/subnets.rs"],
        ),
        (
            SHARED,
            &["common/src/netconf.rs", "common/src/log/settings.rs"],
        ),
    ];
    for (page, files) in sources {
        let told = keys(page);
        let told: BTreeSet<&str> = told.iter().flat_map(|key| parts(&key.path)).collect();
        let prose = document(page).text;
        for word in files.iter().flat_map(|file| words(file)) {
            let is_told = told.contains(word.as_str()) || prose.contains(&format!("`{word}`"));
            assert!(is_told, "{page} says nothing of {word:?}");
        }
    }
}

#[test]
fn every_key_has_the_oldest_kernel_that_it_needs() {
    let head = ["plugin", "keys", "needs", "since Linux", "below"];
    let rows = document("docs/operations.md").rows(head);
    let pages = PLUGINS.map(|plugin| (plugin, format!("docs/{plugin}.md")));
    let pages = pages
        .into_iter()
        .chain([("every plugin", SHARED.to_owned())]);
    for (plugin, page) in pages {
        let mut named = BTreeSet::new();
        for [_, keys, needs, since, below] in rows.iter().filter(|row| row[0] == plugin) {
            named.extend(keys.split('`').skip(1).step_by(2));
            assert_eq!(since.is_empty(), below.is_empty(), "{plugin}: {keys}");
            assert_eq!(
                since.is_empty(),
                needs.contains("nothing"),
                "{plugin}: {keys}"
            );
        }
        let has = |key: &str, path: &str| {
            let rest = path.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let told = keys(&page);
        for Key { path, .. } in &told {
            let is_named = named.iter().any(|key| has(key, path));
            assert!(
                is_named,
                "docs/operations.md, Kernels, has no {path} of {plugin}"
            );
        }
        for key in named {
            let is_told = told.iter().any(|Key { path, .. }| path == key);
            assert!(is_told, "{plugin} has no key {key}");
        }
    }
    let of_none = |row: &&[String; 5]| row[0] != "every plugin" && !PLUGINS.contains(&&*row[0]);
    assert_eq!(rows.iter().find(of_none), None);
}

/// Keys of a part that are for runtimes and main plugins, and are in no table.
const OF_OTHERS: [&str; 5] = ["type", "capabilities", "args", "ipam", "dns"];

#[test]
fn the_schemas_and_the_pages_have_the_same_keys() {
    for plugin in PLUGINS {
        let file = root().join(format!("packaging/schemas/{plugin}.schema.json"));
        let schema: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let mut schema = paths(&schema, "");
        schema.retain(|path| {
            let first = path.split('.').next().unwrap_or_default();
            first != "cni" && !OF_OTHERS.contains(&path.as_str()) && path != "args.cni"
        });
        let pages = [format!("docs/{plugin}.md"), SHARED.to_owned()];
        let keys = pages.iter().flat_map(|page| keys(page));
        let told = keys.map(|key| key.path);
        let told: BTreeSet<String> = told
            .filter(|path| !path.starts_with("CNI_ARGS.") && !path.starts_with("cni.dev/"))
            .collect();
        assert_eq!(schema, told, "{plugin}");
    }
}

/// The paths of a schema's keys.
fn paths(schema: &Value, above: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{above}{key}");
        all.extend(paths(value, &format!("{path}.")));
        all.extend(paths(&value["items"], &format!("{path}[].")));
        all.insert(path);
    }
    all
}

/// The parts of a path: `a.b[].c` is a, b and c. Keys of `cni.dev/` are one part.
fn parts(path: &str) -> Vec<&str> {
    match path.starts_with("cni.dev/") {
        true => vec![path],
        false => path.split(['.', '[', ']']).collect(),
    }
}

/// Every text in a source file, before its tests, that can be the name of a key.
fn words(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let quoted = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    let is_name = |word: &&str| {
        let mut bytes = word.bytes();
        word.len() > 2 && bytes.all(|b| b.is_ascii_alphanumeric()) || word.starts_with("cni.dev/")
    };
    let names = quoted.filter(is_name).map(str::to_owned);
    names
        .filter(|word| !NO_KEYS.contains(&word.as_str()))
        .collect()
}

/// A plugin with nothing but what a key needs to matter.
fn base(plugin: &str, path: &str) -> Value {
    let limits = json!({"ingressRate": 8_000_000, "ingressBurst": 800_000,
                        "egressRate": 8_000_000, "egressBurst": 800_000});
    let mut conf = match plugin {
        "portmap" => json!({"runtimeConfig": {"portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}}),
        "bandwidth" if path.starts_with("runtimeConfig") => {
            json!({"runtimeConfig": {"bandwidth": limits}})
        }
        "bandwidth" => limits,
        _ => json!({}),
    };
    conf["type"] = json!(plugin);
    conf
}

/// Puts a value into a configuration.
fn put(conf: &mut Value, path: &str, value: &Value) {
    let pointer = path.replace("[]", ".0");
    let mut place = conf;
    for part in pointer.split('.') {
        place = match part.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[part],
        };
    }
    *place = value.clone();
}

/// A value of another type.
fn wrong(example: &Value) -> Value {
    match example {
        Value::Array(_) | Value::Object(_) => json!(7),
        _ => json!([]),
    }
}

fn last(path: &str) -> &str {
    parts(path)
        .into_iter()
        .rfind(|part| !part.is_empty())
        .unwrap_or(path)
}

fn trials(plugin: &str, key: &Key) -> Vec<Step> {
    let Key { path, example } = key;
    let place = format!("docs/{plugin}.md, {path} = {example}");
    let mut conf = base(plugin, path);
    if let Some(name) = path.strip_prefix("CNI_ARGS.") {
        let list = behind_veth(conf);
        let pair = |value: &str| format!("--arg {}", quote(&format!("{name}={value}")));
        let mut steps = attach(&place, &list, &pair(example.as_str().unwrap()));
        steps.extend(refused(&place, &list, &pair("nonsense"), name));
        return steps;
    }
    put(&mut conf, path, example);
    let mut steps = attach(&place, &behind_veth(conf.clone()), "");
    put(&mut conf, path, &wrong(example));
    steps.extend(refused(&place, &behind_veth(conf), "", last(path)));
    steps
}

/// ADD fails and names the key; nothing is left.
fn refused(place: &str, list: &Value, options: &str, name: &str) -> Vec<Step> {
    let text = quote(&list.to_string());
    let add = format!(
        "ip netns add example; printf %s {text} > example.conflist; \
         cnictl add ./example.conflist example {options}"
    );
    let step = |command: String, expected| Step {
        place: place.to_owned(),
        command,
        expected,
    };
    vec![
        step(add, Expected::Refusal(name.to_owned())),
        step("ip netns del example".into(), Expected::Success),
    ]
}

fn shared_trials(plugin: &str, key: &Key) -> Vec<Step> {
    let Key { path, example } = key;
    let verb = match path.starts_with("cni.dev/") {
        true => "GC",
        false => "ADD",
    };
    let call = |value: &Value| {
        let mut conf = json!({"cniVersion": "1.1.0", "name": "example", "type": plugin,
                              "prevResult": {"cniVersion": "1.1.0"}});
        conf[path.as_str()] = value.clone();
        format!(
            "CNI_COMMAND={verb} CNI_CONTAINERID=a CNI_NETNS=/run/netns/a CNI_IFNAME=eth0 \
             CNI_PATH=/opt/cni/bin {plugin} <<< {}",
            quote(&conf.to_string())
        )
    };
    let step = |value: &Value, expected| Step {
        place: format!("{SHARED}, {plugin}, {path} = {value}"),
        command: call(value),
        expected,
    };
    let bad = wrong(example);
    vec![
        step(example, Expected::Success),
        step(&bad, Expected::Refusal(path.clone())),
    ]
}
