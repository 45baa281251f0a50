//! `conditionsV4` and `conditionsV6`: matches in a backend's own syntax, word by word.

use common::decode::Object;
use common::error::Error;

use crate::config::Backend;

/// The most bytes that the words of one list may have. `iptables-restore` reads lines of up to 10240
/// bytes and takes what follows for another line.
const LIMIT: usize = 4096;

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
        if is_family_switch(&word) {
            return Err(value.refuse("the key decides on the IP version"));
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

/// Whose syntax the words are: iptables' begin with a dash or an exclamation mark, those of nft
/// never do. `None` without words.
pub fn backend(words: &[String]) -> Option<Backend> {
    words
        .first()
        .map(|first| match first.starts_with(['-', '!']) {
            true => Backend::Iptables,
            false => Backend::Nftables,
        })
}

/// `iptables-restore` leaves out a line that has the switch of the other IP version, without a word.
/// It may stand behind other letters, as in `-n6`.
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
        assert_eq!(of("[\"-s\",\"10.0.0.0/8\"]"), Some(Backend::Iptables));
        assert_eq!(of("[\"!\",\"-s\",\"1.1.1.1\"]"), Some(Backend::Iptables));
        assert_eq!(
            of("[\"ip\",\"saddr\",\"10.0.0.0/8\"]"),
            Some(Backend::Nftables)
        );
    }

    #[test]
    fn words_that_could_become_something_else_are_refused() {
        let long = format!("[\"-s\",\"{}\"]", "x".repeat(LIMIT));
        for json in [
            "[\"-s\",\"1\\n-F\"]",
            "[\"-s\",\"\"]",
            "[\"-n6\"]",
            "[\"-4\"]",
            &long,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
        assert!(read("[\"-ieth6\",\"-s6.0.0.0/8\"]").is_ok());
    }
}
