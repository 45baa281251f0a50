//! Sysctls below /proc/sys, read and written as files.
//!
//! /proc/sys/net shows the calling thread's network namespace, so these functions are called inside
//! [`super::netns::Netns::run`] for a container's.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The file of a sysctl given by its parts, such as `["net", "ipv4", "ip_forward"]`.
pub fn path<S: AsRef<str>>(parts: &[S]) -> PathBuf {
    parts.iter().fold(PathBuf::from("/proc/sys"), |path, part| {
        path.join(part.as_ref())
    })
}

/// Bytes of the buffers that are tried for a value, until one is not filled. The longest value is that of
/// `ip_local_reserved_ports` with every second port, of 190 KiB.
const BUFFERS: [usize; 3] = [4096, 64 << 10, 1 << 20];

/// The current value, without the final line break.
///
/// One read takes all of it: most sysctls give at the beginning of the file what fits into the buffer, and nothing
/// behind it (`*ppos && !write` in kernel/sysctl.c), so that a second read would end a value in the middle.
///
/// # Errors
/// As the kernel says: not found, no permission (a write-only sysctl), …
pub fn read(path: &std::path::Path) -> io::Result<String> {
    for size in BUFFERS {
        let bytes = one_read(path, size)?;
        if bytes.len() < size {
            let text = String::from_utf8(bytes).map_err(|cause| {
                let cause = cause.utf8_error();
                io::Error::new(io::ErrorKind::InvalidData, cause)
            })?;
            return Ok(text.trim_end_matches('\n').to_owned());
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

fn one_read(path: &std::path::Path, size: usize) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut bytes = vec![0; size];
    let length = loop {
        match file.read(&mut bytes) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    bytes.truncate(length);
    Ok(bytes)
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
