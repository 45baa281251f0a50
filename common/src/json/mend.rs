//! What Go's decoder reads and `serde_json` does not: half of a surrogate pair in a string, which means
//! U+FFFD there. Such a document is mended and read once more.

/// The document with what cannot be read replaced; everything else stays, byte for byte.
pub fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => string(rest, &mut out),
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// Copies a string with its quotes, and says how long it was.
fn string(rest: &str, out: &mut String) -> usize {
    let mut at = 1;
    out.push('"');
    while let Some(next) = rest.get(at..).and_then(|rest| rest.chars().next()) {
        let tail = rest.get(at..).unwrap_or_default();
        let length = match (next, unit(tail)) {
            ('\\', Some(0xd800..=0xdbff)) => match unit(tail.get(6..).unwrap_or_default()) {
                Some(0xdc00..=0xdfff) => 12,
                _ => 0,
            },
            ('\\', Some(0xdc00..=0xdfff)) => 0,
            ('\\', Some(_)) => 6,
            ('\\', None) => 1 + tail.chars().nth(1).map_or(0, char::len_utf8),
            (other, _) => other.len_utf8(),
        };
        match length {
            0 => out.push_str("\\ufffd"),
            length => out.push_str(tail.get(..length).unwrap_or_default()),
        }
        at += if length == 0 { 6 } else { length };
        if next == '"' {
            break;
        }
    }
    at
}

/// The number in an escape `\u` of four hexadecimal digits at the beginning.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_surrogate_pairs_become_the_replacement_character() {
        for (text, expected) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\udc00\ud800x""#, r#""\ufffd\ufffdx""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud800 \"\ud800\"""#, r#""\\ud800 \"\ufffd\"""#),
            (r#"{"a\udfff":"ä\n"}"#, r#"{"a\ufffd":"ä\n"}"#),
        ] {
            assert_eq!(mended(text), expected);
        }
    }

    #[test]
    fn everything_else_stays_byte_for_byte() {
        let text = r#"{"a":"\ud800","b":[-1e999,1e400,12,-0.50e3,"1e400"],"c":"\n"}"#;
        assert_eq!(mended(text), text.replace("\\ud800", "\\ufffd"));
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in [
            "\"",
            "\"\\",
            "\"\\u",
            "\"\\ud8",
            "\"\\ud800",
            "{\"a\":tru}",
            "\"\\é\"",
        ] {
            assert!(
                super::super::Json::parse(text.as_bytes()).is_err(),
                "{text}"
            );
        }
    }
}
