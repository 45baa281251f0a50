//! What rows are ordered by.

use std::cmp::Reverse;

/// The largest amount comes first, then texts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A number.
    Amount(Reverse<u128>),
    /// Anything else.
    Text(Vec<Part>),
}

/// A part of a text: numbers come before words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The number of digits, and these.
    Digits(usize, String),
    /// What is between numbers.
    Word(String),
}

impl Key {
    /// What a cell is ordered by.
    pub fn of(text: &str, amount: Option<u128>) -> Key {
        match amount {
            Some(amount) => Key::Amount(Reverse(amount)),
            None => Key::Text(parts(text)),
        }
    }
}

fn parts(text: &str) -> Vec<Part> {
    let bytes: Vec<char> = text.chars().collect();
    let runs = bytes.chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit());
    let part = |run: &[char]| {
        let text: String = run.iter().collect();
        match text.starts_with(|c: char| c.is_ascii_digit()) {
            true => {
                let digits = text.trim_start_matches('0');
                Part::Digits(digits.len(), digits.to_owned())
            }
            false => Part::Word(text),
        }
    };
    runs.map(part).collect()
}
