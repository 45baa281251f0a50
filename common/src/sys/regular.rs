//! Files that are opened only once they are known to be files: opening a device has effects of its own
//! (a watchdog is armed by it), a pipe makes its opener wait, and a link leads elsewhere.
//!
//! A name is opened with `O_PATH` first, which reaches the directory's entry and not what is behind it
//! (open(2)). What that descriptor is decides; then the same descriptor is opened for good through
//! /proc/self/fd, so that nothing else can take its place in between.

use std::fs::{File, FileType};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::fstatfs;

/// File systems that keep what is written (statfs(2), include/uapi/linux/magic.h): a write to any other
/// may be a command. One that is missing here costs a log line and an error that names it.
const KEEPERS: [u32; 29] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlay
    0x2fc1_2fc1, // zfs
    0xf2f5_2010, // f2fs
    0xca45_1a4e, // bcachefs
    0x6969,      // nfs
    0xff53_4d42, // cifs
    0xfe53_4d42, // smb2
    0x00c3_6400, // ceph
    0x0102_1997, // 9p
    0x6573_5546, // fuse, virtiofs
    0x3153_464a, // jfs
    0x5265_4973, // reiserfs
    0x3434,      // nilfs2
    0x2405_1905, // ubifs
    0x72b6,      // jffs2
    0x0116_1970, // gfs2
    0x7461_636f, // ocfs2
    0x0bd0_0bd0, // lustre
    0x4750_4653, // gpfs
    0x6175_6673, // aufs
    0xf15f,      // ecryptfs
    0x4d44,      // vfat
    0x2011_bab0, // exfat
    0x7366_746e, // ntfs3
];

/// [`Entry::Other`] of a directory.
pub const DIRECTORY: &str = "a directory";

/// What a path's last part may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// A symbolic link is followed: the administrator's files.
    Followed,
    /// A symbolic link is not a file: what programs keep.
    Refused,
}

/// What is there under a name.
#[derive(Debug)]
pub enum Entry {
    /// A regular file, not yet opened for reading or writing.
    Regular(File),
    /// Something else, in words.
    Other(&'static str),
}

/// Looks at what is there, and opens nothing but the directory's entry.
///
/// # Errors
/// As open(2), and for a path without a last part.
pub fn look(path: &Path, links: Links) -> io::Result<Entry> {
    let directory = directory(path.parent().unwrap_or(path))?;
    look_in(&directory, path, links)
}

/// As [`look`], in the directory that was opened already.
///
/// # Errors
/// As [`look`].
pub fn look_in(directory: &File, path: &Path, links: Links) -> io::Result<Entry> {
    let flags = match links {
        Links::Followed => OFlag::empty(),
        Links::Refused => OFlag::O_NOFOLLOW,
    };
    let flags = flags | OFlag::O_PATH | OFlag::O_CLOEXEC;
    let entry = File::from(openat(directory, name(path)?, flags, Mode::empty())?);
    let kind = entry.metadata()?.file_type();
    Ok(match kind.is_file() {
        true => Entry::Regular(entry),
        false => Entry::Other(words(kind)),
    })
}

/// Whatever a path leads to, as its entry and unopened.
///
/// # Errors
/// As open(2).
pub fn entry(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    Ok(File::from(open(path, flags, Mode::empty())?))
}

/// A path's last part.
///
/// # Errors
/// When it is `..` or there is none.
pub fn name(path: &Path) -> io::Result<&std::ffi::OsStr> {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file");
    path.file_name().ok_or_else(missing)
}

/// A directory, to look and to make files in.
///
/// # Errors
/// As open(2).
pub fn directory(path: &Path) -> io::Result<File> {
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(File::from(openat(AT_FDCWD, path, flags, Mode::empty())?))
}

/// Opens what [`look`] found for reading or writing.
///
/// # Errors
/// As open(2), never that it is not there: it is.
pub fn reopen(entry: &File, flags: OFlag) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", entry.as_raw_fd());
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match open(path.as_str(), flags, Mode::empty()) {
        Ok(file) => Ok(File::from(file)),
        Err(errno) => Err(io::Error::other(format!("{path}: {}", errno.desc()))),
    }
}

/// Refuses file systems that make commands of what is written, and unknown ones.
///
/// # Errors
/// With the file system's number.
pub fn keeps_files(place: &impl AsFd) -> io::Result<()> {
    // The type's width and sign differ between machines; the numbers have 32 bits.
    let magic = fstatfs(place)?.filesystem_type().0 as u32;
    match KEEPERS.contains(&magic) {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "its file system (type {magic:#x}) is not one for ordinary files"
        ))),
    }
}

fn words(kind: FileType) -> &'static str {
    match () {
        () if kind.is_dir() => DIRECTORY,
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}
