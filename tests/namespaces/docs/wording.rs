//! English as the field writes it: words and turns that give a foreign idiom away are not in the
//! documentation, in what `--help` says, in the messages of the programs, or in the comments of the product.

use std::fs;
use std::path::Path;

use super::markdown::{documents, root};
use super::places::{commands, help};

/// What is not written, and what is instead. They are found as whole words, in any case.
const HABITS: [(&str, &str); 32] = [
    ("any more", "any longer"),
    ("are asked", "are consulted, are called"),
    ("goes on", "continues"),
    ("is asked", "is consulted, is called"),
    ("but for", "except for"),
    ("by accident", "unexpectedly"),
    ("drop-in replacements of", "drop-in replacements for"),
    ("else than", "other than"),
    ("for anybody", "for anything else"),
    ("for want of", "for lack of"),
    ("is none of", "is not one of"),
    ("is to be done", "is needed"),
    ("made anew", "created again"),
    ("make no sense", "are invalid"),
    ("makes no sense", "is invalid"),
    ("of itself", "about itself"),
    ("remark", "comment"),
    ("remarks", "comments"),
    ("somebody", "another tool, another attachment"),
    ("stands twice", "appears twice"),
    ("stands in", "is in"),
    ("stands there", "is there"),
    ("stands against", "protects against"),
    ("take back", "roll back"),
    ("taken back", "rolled back"),
    ("takes back", "rolls back"),
    ("tell of", "report"),
    ("tells", "reports, names"),
    ("thrown away", "discarded, temporary"),
    ("told", "reported"),
    ("unasked", "by default"),
    ("whose it is", "who owns it"),
];

/// The crates of the product, whose messages and comments are held to this, too.
const CRATES: [&str; 7] = [
    "common",
    "nft",
    "xtables",
    "cnictl",
    "tuning",
    "portmap",
    "bandwidth",
];

/// Verbs before `no`, which English turns round: `this is no namespace` is `this is not a namespace`.
const TURNED: &str = "is no";

#[test]
fn nothing_is_written_in_a_foreign_idiom() {
    let mut faults = Vec::new();
    for document in documents() {
        // What has happened is not written again.
        if document.path != "CHANGELOG.md" {
            faults.extend(found(&document.path, &document.text));
        }
    }
    let overview = help("cnictl", None);
    faults.extend(found("cnictl --help", &overview));
    for command in commands(&overview) {
        let text = help("cnictl", Some(&command));
        faults.extend(found(&format!("cnictl {command} --help"), &text));
    }
    for name in CRATES {
        let sources = root().join(name).join("src");
        below(&sources, &literals, &mut faults);
        below(&sources, &comments, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Finds faults in a part of every source below a directory.
fn below(directory: &Path, part: &dyn Fn(&str) -> Vec<String>, faults: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, part, faults);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = part(&fs::read_to_string(&path).unwrap()).join("\n");
            faults.extend(found(&path.display().to_string(), &text));
        }
    }
}

/// Every comment of a source, each block of lines as one, so that no habit hides behind a line's end.
fn comments(source: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in source.lines() {
        let line = line.trim_start();
        let text = line
            .strip_prefix("//")
            .map(|text| text.trim_start_matches(['/', '!']));
        match (text, all.last_mut()) {
            (Some(text), Some(block)) => block.push_str(text),
            _ => all.push(String::new()),
        }
    }
    all.retain(|block| !block.is_empty());
    all
}

/// The texts in quotes of a source, without those of comments.
fn literals(source: &str) -> Vec<String> {
    let mut all = Vec::new();
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("'\"'", "''")
        .replace("b'\"'", "''");
    let mut rest = code.replace("\\\"", "'").replace("\\\n", " ");
    while let Some((_, after)) = rest.split_once('"') {
        let (text, after) = after.split_once('"').unwrap_or((after, ""));
        all.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        rest = after.to_owned();
    }
    all
}

fn found(place: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words = words(line);
        for (habit, better) in HABITS {
            if has(&words, habit) {
                faults.push(format!(
                    "{place}:{number}: {habit:?}: write {better}: {line}"
                ));
            }
        }
        if turns(&words) {
            faults.push(format!(
                "{place}:{number}: {TURNED:?}: write \"is not a\": {line}"
            ));
        }
    }
    faults
}

fn words(line: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || "-'_".contains(c);
    let all = line.split(|c| !is_part(c)).filter(|word| !word.is_empty());
    all.map(str::to_lowercase).collect()
}

fn has(words: &[String], habit: &str) -> bool {
    let wanted: Vec<&str> = habit.split(' ').collect();
    words.windows(wanted.len()).any(|some| some == wanted)
}

/// `there is no X` and `is no longer X` are English.
fn turns(words: &[String]) -> bool {
    let pairs = words.windows(2).enumerate();
    let mut turned = pairs.filter(|(_, pair)| pair[0] == "is" && pair[1] == "no");
    turned.any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        let after = words.get(at + 2).map(String::as_str);
        before.is_none_or(|word| word != "there") && after != Some("longer")
    })
}

#[test]
fn habits_are_found_as_whole_words() {
    let count = |line: &str| found("", line).len();
    assert_eq!(count("What was set is taken back."), 1);
    assert_eq!(count("this is no namespace"), 1);
    for good in [
        "there is no cache",
        "it is no longer there",
        "a foretold outcome",
        "remarkable",
    ] {
        assert_eq!(count(good), 0, "{good}");
    }
}

#[test]
fn comments_are_blocks_of_lines() {
    let source = "//! It is told\n//! by others.\nlet a = \"b\";\n    /// c\n    // d\n";
    assert_eq!(comments(source), [" It is told by others.", " c d"]);
}

#[test]
fn literals_are_what_is_in_quotes() {
    let source = "// \"not this\"\nlet a = \"b \\\n   c\"; let d = '\"'; let e = \"f \\\"g\\\"\";";
    assert_eq!(literals(source), ["b c", "f 'g'"]);
}
