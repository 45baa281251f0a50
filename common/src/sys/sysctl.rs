//! Sysctls below /proc/sys, read and written as files.
//!
//! /proc/sys/net shows the calling thread's network namespace, so these functions are called inside
//! [`super::netns::Netns::run`] for a container's.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The file of a sysctl given by its parts, such as `["net", "ipv4", "ip_forward"]`.
pub fn path<S: AsRef<str>>(parts: &[S]) -> PathBuf {
    parts.iter().fold(PathBuf::from("/proc/sys"), |path, part| {
        path.join(part.as_ref())
    })
}

/// The current value, without the final line break.
///
/// # Errors
/// As the kernel says: not found, no permission (a write-only sysctl), …
pub fn read(path: &std::path::Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// Whether a sysctl takes values and gives none, by its mode, such as `net/ipv4/route/flush`.
pub fn is_write_only(path: &std::path::Path) -> bool {
    mode(path).is_ok_and(|mode| mode & 0o444 == 0 && mode & 0o222 != 0)
}

/// Whether a sysctl takes no value in this namespace, by its mode, such as `net/core/rmem_max` in a
/// container's.
pub fn is_read_only(path: &std::path::Path) -> bool {
    mode(path).is_ok_and(|mode| mode & 0o222 == 0)
}

fn mode(path: &std::path::Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode())
}

/// Writes a value.
///
/// # Errors
/// As the kernel says: not found, no permission, invalid value, …
pub fn write(path: &std::path::Path, value: &str) -> io::Result<()> {
    // One write: the kernel takes each write as a whole value.
    fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())
}
