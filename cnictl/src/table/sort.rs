//! What rows are ordered by.

use std::cmp::Reverse;

/// More digits than any number in a table has.
const DIGITS: usize = 40;

/// The largest amount first, then texts without one, where numbers in them count by their value.
pub type Key = (Reverse<Option<u128>>, String);

/// What a cell is ordered by.
pub fn key(text: &str, amount: Option<u128>) -> Key {
    let text = match amount {
        Some(_) => String::new(),
        None => text.to_owned(),
    };
    let runs = text
        .as_bytes()
        .chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit());
    let padded = runs.map(|run| match (String::from_utf8_lossy(run), run.first()) {
        (digits, Some(b'0'..=b'9')) => format!("{digits:0>DIGITS$}"),
        (word, _) => word.into_owned(),
    });
    (Reverse(amount), padded.collect())
}
