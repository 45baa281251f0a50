//! SHA-512 as text.

use sha2::{Digest, Sha512};

/// The SHA-512 of all parts together, in lower-case hexadecimal, as `sha512sum` prints it.
pub fn sha512(parts: &[&[u8]]) -> String {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        hex.push(nibble(byte >> 4));
        hex.push(nibble(byte & 15));
        hex
    })
}

fn nibble(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}
