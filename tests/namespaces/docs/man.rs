//! The man pages say what the programs and the other pages say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sandbox::plugin::binary;

use super::examples::{attach, behind_veth};
use super::keys::keys;
use super::markdown::{Node, document, root};
use super::schema::attached;
use super::session::{Expected, Step, run};

const PLUGINS: [&str; 3] = ["tuning", "portmap", "bandwidth"];

/// A page: its sections, without roff's escapes.
struct Page(BTreeMap<String, Vec<String>>);

impl Page {
    fn read(name: &str) -> Page {
        let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut current = String::new();
        for line in fs::read_to_string(path(name)).unwrap().lines() {
            match line.strip_prefix(".SH ") {
                Some(title) => current = title.trim_matches('"').to_owned(),
                None => sections
                    .entry(current.clone())
                    .or_default()
                    .push(plain(line)),
            }
        }
        Page(sections)
    }

    fn section(&self, title: &str) -> &[String] {
        self.0
            .get(title)
            .unwrap_or_else(|| panic!("no section {title}"))
    }

    /// The first word of each item of a section.
    fn items(&self, title: &str) -> BTreeSet<String> {
        let lines = self.section(title).windows(2);
        let items = lines.filter(|pair| pair[0].starts_with(".TP"));
        items
            .filter_map(|pair| {
                pair[1]
                    .split_whitespace()
                    .nth(1)
                    .map(|word| word.trim_matches('"').to_owned())
            })
            .collect()
    }

    /// What stands between `.EX` and `.EE`.
    fn examples(&self) -> Vec<String> {
        let text = self.section("EXAMPLES").join("\n");
        let blocks = text.split(".EX\n").skip(1);
        let ended = blocks.filter_map(|block| block.split_once("\n.EE"));
        ended.map(|(example, _)| example.to_owned()).collect()
    }
}

fn path(name: &str) -> PathBuf {
    root().join("docs/man").join(name)
}

fn plain(line: &str) -> String {
    let line = line
        .replace("\\-", "-")
        .replace("\\(aq", "'")
        .replace("\\&", "");
    line.replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
}

#[test]
fn they_have_the_keys_of_the_pages() {
    for plugin in PLUGINS {
        let page = Page::read(&format!("cni-{plugin}.8"));
        let keys = keys(&format!("docs/{plugin}.md"));
        let keys: BTreeSet<String> = keys.into_iter().map(|key| key.path).collect();
        assert_eq!(page.items("KEYS"), keys, "{plugin}");
    }
}

/// The source that gives the codes their numbers is what counts.
#[test]
fn they_and_the_documentation_have_every_error_code() {
    let source = fs::read_to_string(root().join("common/src/error.rs")).unwrap();
    let arms = source
        .lines()
        .filter(|line| line.contains("Code::") && line.contains("=> "));
    let numbers = arms.filter_map(|line| line.rsplit_once("=> ").map(|(_, number)| number));
    let codes: BTreeSet<String> = numbers
        .map(|number| number.trim_end_matches(',').to_owned())
        .filter(|number| number.parse::<u32>().is_ok())
        .collect();
    assert!(codes.len() >= 13, "{codes:?}");
    let rows = document("docs/configuration.md").rows(["code", "meaning"]);
    let told: BTreeSet<String> = rows.into_iter().map(|[code, _]| code).collect();
    assert_eq!(told, codes);
    for plugin in PLUGINS {
        let page = Page::read(&format!("cni-{plugin}.8"));
        let told = page.items("ERRORS");
        assert!(told.is_subset(&codes), "{plugin}: {told:?}");
        let own = ["1", "4", "5", "6", "7", "8", "50", "100", "101"].map(str::to_owned);
        assert!(told.is_superset(&own.into()), "{plugin}: {told:?}");
    }
}

/// Their examples: configurations, and commands on a node with an attachment.
#[test]
fn their_examples_do_what_they_say() {
    let mut faults = Vec::new();
    for (name, setup) in [
        ("cni-tuning.8", attached()),
        ("cni-portmap.8", attached()),
        ("cni-bandwidth.8", attached()),
    ] {
        let examples = Page::read(name).examples();
        assert!(!examples.is_empty(), "{name} has no example");
        let mut commands = vec![step(name, setup)];
        for example in examples {
            match serde_json::from_str(&example) {
                Ok(plugin) => {
                    faults.extend(run(&attach(name, &behind_veth(plugin), ""), Node::Ours))
                }
                Err(_) => commands.extend(example.lines().map(|line| step(name, line))),
            }
        }
        faults.extend(run(&commands, Node::Ours));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

fn step(place: &str, line: impl Into<String>) -> Step {
    Step {
        place: place.into(),
        command: line.into(),
        expected: Expected::Success,
    }
}

/// Also those that the tool makes of its command line.
#[test]
fn they_render_without_a_warning() {
    let made = std::env::temp_dir().join(format!("docs-man-{}", std::process::id()));
    fs::create_dir(&made).unwrap();
    let mut tool = Command::new(binary("cnictl"));
    assert!(tool.arg("man").arg(&made).status().unwrap().success());
    let in_dir = |dir: PathBuf| fs::read_dir(dir).unwrap().flatten();
    let entries = in_dir(root().join("docs/man")).chain(in_dir(made.clone()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    assert!(paths.len() > 3 + 16, "{paths:?}");
    for path in paths {
        let output = Command::new("groff")
            .args(["-man", "-Tutf8", "-rLL=78n", "-ww", "-z"])
            .arg(&path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
    fs::remove_dir_all(made).unwrap();
}
