//! Which implementation is under test.

use std::process::{Command, Stdio};

use sandbox::plugin::directory;

use crate::failure::{Failure, fail};

/// The reference of April 2026, and any other that speaks 1.1.0.
pub const REFERENCE_2026: &str = "reference 2026-04";
/// The reference as Debian 12 packages it.
pub const REFERENCE_1_1_1: &str = "reference 1.1.1";
/// Ours, or whatever is held to the whole contract.
pub const OURS: &str = "ours";

/// Told by what the plugin says of itself when it is started without `CNI_COMMAND`: builds of the
/// reference say `version unknown` or a version with a `v`.
pub fn detect() -> Result<&'static str, Failure> {
    let program = directory().join("tuning");
    let output = Command::new(&program)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|e| {
            Failure(format!(
                "start {} (is CNI_BIN right?): {e}",
                program.display()
            ))
        })?;
    let about = String::from_utf8_lossy(&output.stderr).into_owned();
    let first = about.lines().next().unwrap_or_default();
    let released = first
        .split("plugin v")
        .nth(1)
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if first.ends_with("version unknown") || released {
        return Ok(if about.contains("1.1.0") {
            REFERENCE_2026
        } else {
            REFERENCE_1_1_1
        });
    }
    if first.is_empty() {
        return fail(format!("{} does not say what it is", program.display()));
    }
    Ok(OURS)
}
