//! What `--json` prints has the fields that docs/operations.md lists.

use std::collections::BTreeSet;

use serde_json::json;

use super::examples::behind_veth;
use super::markdown::{Node, document};
use super::session::{Expected, Step, quote, run};

const PAGE: &str = "docs/operations.md";

/// The commands of the table, each so that it has something to print.
const COMMANDS: [(&str, &str); 9] = [
    ("ports", "cnictl ports"),
    ("who", "cnictl who 8080"),
    ("limits", "cnictl limits"),
    ("sysctls", "cnictl sysctls"),
    ("reconcile", "cnictl reconcile --verbose"),
    (
        "lint",
        "echo '{\"mtuu\": 1}' > bad.conf; cnictl lint bad.conf",
    ),
    ("doctor", "cnictl doctor"),
    ("explain", "cnictl explain 8080"),
    // The attachment is in the kernel and no more in the cache.
    ("gc", "rm /var/lib/cni/results/*; cnictl gc --dry-run"),
];

#[test]
fn json_has_the_fields_that_are_listed() {
    let rows = document(PAGE).rows(["command", "list", "fields of each"]);
    let mut steps = vec![Step {
        place: PAGE.into(),
        command: attached(),
        expected: Expected::Success,
    }];
    assert_eq!(rows.len(), COMMANDS.len());
    let mappings = names(&rows[0][2]);
    for ([command, list, fields], (name, line)) in rows.iter().zip(COMMANDS) {
        assert_eq!(command.trim_matches('`'), name);
        let mut fields = match list.contains("as above") {
            // A listener's are told where there is one.
            true => mappings.clone(),
            false => names(fields),
        };
        fields.extend(names(list));
        fields.insert("schema".into());
        let told = format!("{line} --json | grep -o '\"[A-Za-z]*\":' | tr -d '\":' | sort -u");
        steps.push(Step {
            place: PAGE.into(),
            command: told,
            expected: Expected::Output(fields.into_iter().collect()),
        });
    }
    let faults = run(&steps, Node::Ours);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// A container with a host port, a limit and a changed MTU.
pub fn attached() -> String {
    let mut list = behind_veth(json!({"type": "tuning", "mtu": 1400}));
    let plugins = list["plugins"].as_array_mut().unwrap();
    plugins.push(json!({"type": "portmap", "capabilities": {"portMappings": true}}));
    plugins.push(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}));
    format!(
        "printf %s {} > a.conflist && ip netns add a && \
         cnictl add ./a.conflist a --publish 8080:80 --ingress 10M --egress 10M",
        quote(&list.to_string())
    )
}

/// The words of a cell that are code, but for those in parentheses.
fn names(cell: &str) -> BTreeSet<String> {
    let mut outside = String::new();
    for (place, part) in cell.split(['(', ')']).enumerate() {
        if place % 2 == 0 {
            outside.push_str(part);
        }
    }
    let code = outside.split('`').skip(1).step_by(2);
    code.map(str::to_owned).collect()
}
