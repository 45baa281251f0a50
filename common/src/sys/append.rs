//! Files that lines are added to, by many processes at a time.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::file;
use crate::error::{Code, Context, Error};

/// Adds `bytes` at the end of a file in one piece: one write(2) of a file opened with O_APPEND, between
/// which and those of others the kernel lets nothing come. A missing file is made, mode 0600, and
/// missing directories, mode 0700.
///
/// The file must be a regular one, and the path's last part no symbolic link: nothing waits for a
/// reader of a pipe, and nothing is written to a device.
///
/// # Errors
/// Code 5 with the path and what was tried.
pub fn append(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let tried = || format!("append to {}", path.display());
    match write(path, bytes) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path);
            file::make_directory(directory).context(Code::Io, tried)?;
            write(path, bytes).context(Code::Io, tried)
        }
        other => other.context(Code::Io, tried),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    match file.write(bytes)? {
        written if written == bytes.len() => Ok(()),
        written => Err(io::Error::other(format!(
            "only {written} of {} bytes were written",
            bytes.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    #[test]
    fn lines_are_added_and_missing_files_made_for_root_alone() {
        let scratch = Scratch::new("append-lines");
        let path = scratch.0.join("new/cni.log");
        append(&path, b"one\n").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let scratch = Scratch::new("append-refused");
        let target = scratch.0.join("target");
        fs::write(&target, "").unwrap();
        symlink(&target, scratch.0.join("link")).unwrap();
        symlink(scratch.0.join("nowhere"), scratch.0.join("dangling")).unwrap();
        mkfifo(&scratch.0.join("fifo"), Mode::S_IRWXU).unwrap();
        let read = scratch.0.join("read-fifo");
        mkfifo(&read, Mode::S_IRWXU).unwrap();
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&read)
            .unwrap();
        for name in [
            "link",
            "dangling",
            "fifo",
            "read-fifo",
            "",
            "target/below",
            "target/a/b",
        ] {
            let path = scratch.0.join(name);
            let error = append(&path, b"x").unwrap_err();
            assert_eq!(error.code, Code::Io, "{name}");
            assert!(error.to_string().contains(&scratch.0.display().to_string()));
        }
        drop(reader);
        assert!(append(Path::new("/dev/null"), b"x").is_err());
        assert_eq!(fs::read(&target).unwrap(), b"");
        assert!(!scratch.0.join("nowhere").exists());
    }

    #[test]
    fn pieces_of_many_writers_do_not_mix() {
        let scratch = Scratch::new("append-many");
        let path = scratch.0.join("cni.log");
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let path = &path;
                scope.spawn(move || {
                    let line = [vec![b'a' + writer; 3000], vec![b'\n']].concat();
                    for _ in 0..50 {
                        append(path, &line).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 400);
        for line in text.lines() {
            let first = line.bytes().next().unwrap();
            assert!(line.len() == 3000 && line.bytes().all(|byte| byte == first));
        }
    }
}
