//! Remarks for the runtime's log. stdout belongs to the protocol, so they go to stderr.

use std::fmt::Display;
use std::io::Write;

/// Writes one line `PLUGIN: warning: TEXT` to stderr. Line breaks in the text become blanks, so that
/// a value from a request cannot pose as a line of its own.
pub fn warn(plugin: &str, text: impl Display) {
    let text = text.to_string().replace(['\n', '\r'], " ");
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "{plugin}: warning: {text}");
}
