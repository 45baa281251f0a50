//! `conditionsV4` and `conditionsV6`: matches in a backend's own syntax, word by word.

use common::Family;
use common::decode::Object;
use common::error::Error;

use crate::options::BackendKind;

/// The most bytes that the words of one list may have. `iptables-restore` reads lines of up to 10240
/// bytes and takes what follows for another line.
const LIMIT: usize = 4096;

/// Options of iptables, besides those of its matches, that only test. Letters may be joined with their
/// values.
const TESTS: [&str; 8] = [
    "source",
    "src",
    "destination",
    "dst",
    "in-interface",
    "out-interface",
    "match",
    "fragments",
];
const TEST_LETTERS: [char; 6] = ['s', 'd', 'i', 'o', 'm', 'f'];

/// All others: they name a command, a table, a target or a program, or end iptables before there is a
/// rule. Of a long option its beginning is enough.
const OTHERS: [&str; 30] = [
    "append",
    "check",
    "delete",
    "delete-chain",
    "exact",
    "flush",
    "goto",
    "help",
    "insert",
    "ipv4",
    "ipv6",
    "jump",
    "line-numbers",
    "list",
    "list-rules",
    "modprobe",
    "new-chain",
    "numeric",
    "policy",
    "protocol",
    "rename-chain",
    "replace",
    "set-counters",
    "table",
    "verbose",
    "version",
    "wait",
    "wait-interval",
    "zero",
    "noflush",
];
/// Options of matches that look like the beginning of one of those: of `policy`, `recent`, `policy`.
const OF_MATCHES: [&str; 3] = ["pol", "set", "proto"];

/// Reads a list of words; none when the key is absent, and none when the first is empty, which is
/// how the reference decides that there are no conditions.
///
/// # Errors
/// Code 6 for anything but a list of strings, code 7 for words that no rule can hold.
pub fn parse(raw: Object<'_>, key: &'static str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut length = 0usize;
    for value in raw.list(key)? {
        let word = value.string()?;
        if word.chars().any(char::is_control) {
            return Err(value.refuse("a condition cannot hold control characters"));
        }
        if word.is_empty() && !words.is_empty() {
            return Err(value.refuse("a condition cannot be empty"));
        }
        // nft would make a rule of it that matches every packet.
        if words.is_empty() && !word.is_empty() && word.trim().is_empty() {
            return Err(value.refuse("the first condition cannot be blank"));
        }
        if is_family_switch(&word) {
            return Err(value.refuse("the IP version follows from the key"));
        }
        let of_iptables = words.first().unwrap_or(&word).starts_with(['-', '!']);
        if of_iptables && let Some(why) = fault(&word) {
            return Err(value.refuse(why));
        }
        if words
            .last()
            .is_some_and(|before| matches!(before.as_str(), "-m" | "--match"))
            && !is_name(&word)
        {
            return Err(value.refuse("expected the name of a match"));
        }
        length = length.saturating_add(word.len() + 3);
        if length > LIMIT {
            return Err(value.refuse(format_args!("{key} is longer than {LIMIT} bytes")));
        }
        words.push(word);
    }
    match words.first() {
        Some(first) if !first.is_empty() => Ok(words),
        _ => Ok(Vec::new()),
    }
}

/// The key of an IP version's conditions.
pub fn key(family: Family) -> &'static str {
    match family {
        Family::V4 => "conditionsV4",
        Family::V6 => "conditionsV6",
    }
}

/// Whose syntax the words are: iptables' begin with a dash or an exclamation mark, those of nft
/// never do. `None` without words.
pub fn backend(words: &[String]) -> Option<BackendKind> {
    words
        .first()
        .map(|first| match first.starts_with(['-', '!']) {
            true => BackendKind::Iptables,
            false => BackendKind::Nftables,
        })
}

/// Why a word of iptables' syntax cannot be part of a test, if it cannot.
fn fault(word: &str) -> Option<&'static str> {
    const NO_TEST: &str = "conditions only test packets: leave this option out, or join a value that \
        begins with a dash to its option (--option=-value)";
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or(long);
        let is_known = TESTS.contains(&name) || OF_MATCHES.contains(&name);
        let is_other = OTHERS.iter().any(|other| other.starts_with(name));
        return (is_other && !is_known).then_some(NO_TEST);
    }
    let mut letters = word.strip_prefix('-')?.chars();
    match letters.next() {
        // What follows belongs to it, except for the one without a value.
        Some('f') if letters.next().is_some() => Some(NO_TEST),
        Some('m') if !letters.as_str().is_empty() && !is_name(letters.as_str()) => {
            Some("expected the name of a match")
        }
        Some(letter) if TEST_LETTERS.contains(&letter) => None,
        _ => Some(NO_TEST),
    }
}

/// Whether a text can be the name of a match, of which iptables makes a file's.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}

/// `iptables-restore` leaves out a line that has the switch of the other IP version, without a word.
/// It may follow other letters, as in `-n6`.
fn is_family_switch(word: &str) -> bool {
    let short = word.strip_prefix('-').is_some_and(|letters| {
        let rest = letters.trim_start_matches(['v', 'n', 'x', 'f']);
        rest.starts_with(['4', '6'])
    });
    short || matches!(word, "--ipv" | "--ipv4" | "--ipv6")
}

#[cfg(test)]
mod tests {
    use common::json::Json;

    use super::*;

    fn read(json: &str) -> Result<Vec<String>, Error> {
        let text = format!("{{\"conditionsV4\":{json}}}");
        let Ok(Json::Object(fields)) = Json::parse(text.as_bytes()) else {
            panic!("{text}");
        };
        parse(Object::root(&fields), "conditionsV4")
    }

    #[test]
    fn no_list_an_empty_list_and_an_empty_first_word_are_no_conditions() {
        for json in ["null", "[]", "[\"\"]"] {
            assert!(read(json).unwrap().is_empty(), "{json}");
        }
    }

    #[test]
    fn the_first_word_tells_the_backend() {
        let of = |json| backend(&read(json).unwrap());
        assert_eq!(of("[]"), None);
        assert_eq!(of("[\"-s\",\"10.0.0.0/8\"]"), Some(BackendKind::Iptables));
        assert_eq!(
            of("[\"!\",\"-s\",\"1.1.1.1\"]"),
            Some(BackendKind::Iptables)
        );
        assert_eq!(
            of("[\"ip\",\"saddr\",\"10.0.0.0/8\"]"),
            Some(BackendKind::Nftables)
        );
    }

    #[test]
    fn words_that_could_become_something_else_are_refused() {
        let long = format!("[\"-s\",\"{}\"]", "x".repeat(LIMIT));
        for json in [
            "[\"-s\",\"1\\n-F\"]",
            "[\"-s\",\"\"]",
            "[\" \"]",
            "[\"  \",\"x\"]",
            "[\"-n6\"]",
            "[\"-4\"]",
            &long,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
        assert!(read("[\"-ieth6\",\"-s6.0.0.0/8\"]").is_ok());
    }

    #[test]
    fn options_of_iptables_that_are_no_tests_are_refused_in_every_spelling() {
        for word in [
            "-j",
            "-jDROP",
            "--jump",
            "--jum",
            "--jump=DROP",
            "--j",
            "-g",
            "--goto",
            "--g",
            "-t",
            "-tmangle",
            "--table",
            "--tab",
            "-A",
            "-AX",
            "-F",
            "-Z",
            "--zero",
            "-h",
            "--help",
            "--he",
            "-V",
            "--version",
            "-L",
            "-S",
            "--list",
            "-M",
            "--modprobe=/x",
            "--mod",
            "-vM/x",
            "-fM/x",
            "-nj",
            "-c",
            "--set-counters",
            "--",
            "-",
            "-p",
            "--protocol",
            "-w",
            "-P",
            "-N",
            "-X",
            "-E",
            "-R",
            "-D",
            "-I",
            "-C",
            "-ma/b",
            "-m../x",
            "-6",
        ] {
            for json in [
                format!("[\"{word}\"]"),
                format!("[\"-s\",\"10.0.0.0/8\",\"{word}\",\"x\"]"),
                format!("[\"-m\",\"recent\",\"--set\",\"{word}\",\"ACCEPT\"]"),
            ] {
                assert!(read(&json).is_err(), "{json}");
            }
        }
        assert!(read("[\"-m\",\"../x\"]").is_err());
    }

    #[test]
    fn tests_of_iptables_are_accepted() {
        for text in [
            "-s 10.0.0.0/8 ! -d 10.1.0.1",
            "--src 10.0.0.0/8 --in-interface eth0",
            "-m policy --dir in --pol none --proto esp --strict",
            "-m recent --rcheck --name x --rsource",
            "-m statistic --mode nth --every 3 --packet 0",
            "-m time --timestart 08:00 --weekdays Mon,Tue",
            "-m string --algo bm --hex-string |0a0d| --from 3",
            "-m set --match-set x src",
            "! -f",
            "-mtcp --tcp-flags SYN,ACK SYN",
            "-m hashlimit --hashlimit-upto 1mb/s --hashlimit-name bar",
            "-m helper --helper ftp -m length --length 10:100",
        ] {
            let words: Vec<String> = text.split(' ').map(|word| format!("{word:?}")).collect();
            let json = format!("[{}]", words.join(","));
            assert_eq!(read(&json).unwrap().len(), words.len(), "{text}");
        }
    }
}
