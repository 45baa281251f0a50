//! Where in a document something is.

use std::fmt;

/// A line and a column in characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Place {
    /// Where a member of an object (its key) or an item of a list begins, in a text that is JSON: the
    /// path has, for each level, its number among the members or items.
    pub fn of(text: &str, path: &[usize]) -> Place {
        let mut scanner = Scanner {
            bytes: text.as_bytes(),
            at: 0,
        };
        scanner.blanks();
        let mut start = scanner.at;
        for number in path {
            start = scanner.enter(*number);
        }
        Place::at(text, start)
    }

    /// That of a byte.
    pub fn at(text: &str, byte: usize) -> Place {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        Place {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

/// Goes through a sound document; what it says of another one is any place in it.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn next(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.next().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Goes to the value of a member, or to an item, and says where the member begins.
    fn enter(&mut self, number: usize) -> usize {
        let is_object = self.next() == Some(b'{');
        self.step();
        for _ in 0..number {
            self.member(is_object);
            self.value();
            self.blanks();
            self.step();
        }
        self.member(is_object)
    }

    /// Goes over a key, if there is one, and says where it begins.
    fn member(&mut self, is_object: bool) -> usize {
        let start = self.at;
        if is_object {
            self.string();
            self.blanks();
            self.step();
        }
        start
    }

    /// Over a punctuation mark and the blanks behind it.
    fn step(&mut self) {
        self.at += 1;
        self.blanks();
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.next() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
    }

    fn value(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.next() {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_items_are_found_by_their_number() {
        let text =
            "\n{ \"a\": [1, {\"x\\\"}\": [], \"ä\": {}, \"y\" :\n  -1.5e3}],\n  \"b\":true }";
        for (path, line, column) in [
            (&[][..], 2, 1),
            (&[0], 2, 3),
            (&[0, 0], 2, 9),
            (&[0, 1], 2, 12),
            (&[0, 1, 0], 2, 13),
            (&[0, 1, 1], 2, 25),
            (&[0, 1, 2], 2, 34),
            (&[1], 4, 3),
        ] {
            assert_eq!(Place::of(text, path), Place { line, column }, "{path:?}");
        }
    }

    #[test]
    fn no_text_and_no_path_is_too_odd() {
        for text in ["", "{", "[1", "\"", "{\"a\"", "nonsense"] {
            Place::of(text, &[0, 7]);
        }
    }
}
