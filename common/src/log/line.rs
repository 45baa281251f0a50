//! One line: `key=value` pairs, the form that containerd's and CRI-O's own lines in the journal have.
//!
//! A value that is one plain word is written as it is; any other is in quotes, escaped as in JSON, so
//! that nothing in it can end the value or the line, or steer a terminal. All of a line is printable
//! ASCII, and neither `$` nor a backtick is in it: where a file of such lines should end up as a
//! shell's input, it runs nothing.

use std::fmt::Display;

/// The longest line in bytes, its line break included. A pipe takes that much in one piece
/// (PIPE_BUF, pipe(7)), so that lines of plugins that share one do not mix.
pub const LONGEST: usize = 4096;

/// The end of a value that was cut.
const CUT: &str = "...";

/// A line being written.
#[derive(Debug, Default)]
pub struct Line(String);

impl Line {
    /// Adds a pair; none for an empty value. `most` bounds the value's bytes as they are written; a
    /// longer one is cut, and ends in `...`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display, most: usize) -> Line {
        let value = value.to_string();
        if value.is_empty() {
            return self;
        }
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(key);
        self.0.push('=');
        let is_word = value.len() <= most && value.bytes().all(is_plain);
        match is_word {
            true => self.0.push_str(&value),
            false => quote(&mut self.0, &value, most),
        }
        self
    }

    /// The line with its line break.
    pub fn text(mut self) -> String {
        // Values are bounded so that this cuts nothing; nothing may come after the break.
        self.0.truncate(LONGEST - 1);
        self.0.push('\n');
        self.0
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\' | b'$' | b'`' | b'\'')
}

fn quote(line: &mut String, value: &str, most: usize) {
    let room = most.saturating_sub(2);
    let start = line.len() + 1;
    // The end of the last character after which CUT would still fit.
    let mut cut = start;
    line.push('"');
    for character in value.chars() {
        escape(line, character);
        let length = line.len() - start;
        if length > room {
            line.truncate(cut);
            line.push_str(CUT);
            break;
        }
        if length + CUT.len() <= room {
            cut = line.len();
        }
    }
    line.push('"');
}

fn escape(line: &mut String, character: char) {
    match character {
        '"' => line.push_str("\\\""),
        '\\' => line.push_str("\\\\"),
        '\n' => line.push_str("\\n"),
        '\t' => line.push_str("\\t"),
        '$' | '`' => unicode(line, character),
        ' '..='~' => line.push(character),
        other => unicode(line, other),
    }
}

/// As JSON has it: in units of UTF-16.
fn unicode(line: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        line.push_str(&format!("\\u{unit:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str, most: usize) -> String {
        Line::default().with("k", value, most).text()
    }

    #[test]
    fn plain_words_stand_bare_and_everything_else_in_quotes() {
        for (value, expected) in [
            ("eth0", "eth0"),
            ("/var/run/netns/a:b,c@d+e", "/var/run/netns/a:b,c@d+e"),
            ("two words", r#""two words""#),
            ("a=b", r#""a=b""#),
            ("a\"b", r#""a\"b""#),
            ("a\\b", r#""a\\b""#),
            ("a\nlevel=error", r#""a\nlevel=error""#),
            ("a\r\t\0\x1b[2J\x7f", r#""a\u000d\t\u0000\u001b[2J\u007f""#),
            ("\u{85}\u{2028}\u{202e}", r#""\u0085\u2028\u202e""#),
            ("ä😀", r#""\u00e4\ud83d\ude00""#),
            ("$(id)`id`", r#""\u0024(id)\u0060id\u0060""#),
            ("it's", r#""it's""#),
        ] {
            assert_eq!(written(value, 200), format!("k={expected}\n"), "{value:?}");
        }
    }

    #[test]
    fn quoted_values_are_json_strings_of_what_was_said() {
        let said: String = (0..0x2100).filter_map(char::from_u32).collect();
        let line = written(&said, usize::MAX);
        assert!(line.len() > LONGEST - 2, "{}", line.len());
        let mut whole = String::new();
        quote(&mut whole, &said, usize::MAX);
        assert_eq!(serde_json::from_str::<String>(&whole).unwrap(), said);
        assert!(whole.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }

    #[test]
    fn empty_values_are_left_out_and_pairs_are_apart() {
        let line = Line::default()
            .with("a", "", 9)
            .with("b", 1, 9)
            .with("c", "x y", 9);
        assert_eq!(line.text(), "b=1 c=\"x y\"\n");
    }

    #[test]
    fn a_long_value_is_cut_at_a_whole_character_and_says_so() {
        for (value, most, expected) in [
            ("abcdefgh", 8, "abcdefgh"),
            ("abcdefghi", 8, r#""abc...""#),
            ("a b c d e", 11, r#""a b c d e""#),
            ("a b c d e f", 11, r#""a b c ...""#),
            ("\n\n\n\n\n\n", 11, r#""\n\n\n...""#),
            ("ääää", 14, r#""\u00e4...""#),
            ("ä", 8, r#""\u00e4""#),
        ] {
            let line = written(value, most);
            assert_eq!(line, format!("k={expected}\n"), "{value:?}");
            assert!(line.len() <= most + 3, "{value:?}");
        }
    }
}
