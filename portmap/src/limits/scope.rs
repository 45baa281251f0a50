//! What limits are known by.

use std::fmt;

/// The name of what the keys say, by which attachments with the same limits share what the kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u128);

impl Scope {
    /// How long it is in hexadecimal: no two limits have the same, whoever chooses them.
    pub const DIGITS: usize = 32;

    /// Reads it, in this form alone.
    pub fn from_text(text: &str) -> Option<Scope> {
        let scope = u128::from_str_radix(text, 16).ok().map(Scope)?;
        (scope.to_string() == text).then_some(scope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
