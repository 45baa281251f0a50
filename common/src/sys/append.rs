//! Files that lines are added to, by many processes at a time.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::file;
use super::regular::{self, Entry, Links};
use crate::error::{Code, Context, Error};

/// How often a file is looked for that comes and goes while we look.
const TRIES: usize = 10;

/// Adds `bytes` at the end of a file in one piece: one write(2) of a file opened with O_APPEND, between
/// which and those of others the kernel lets nothing come. A missing file is made, mode 0600, and
/// missing directories, mode 0700.
///
/// The file must be a regular one on a file system that keeps files, and the path's last part no
/// symbolic link: nothing else is ever opened. See [`regular`].
///
/// # Errors
/// Code 5 with the path and what was tried.
pub fn append(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let tried = || format!("append to {}", path.display());
    let directory = path.parent().unwrap_or(path);
    let directory = match regular::directory(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            file::make_directory(directory).context(Code::Io, tried)?
        }
        found => found.context(Code::Io, tried)?,
    };
    open(&directory, path)
        .and_then(|file| write(file, bytes))
        .context(Code::Io, tried)
}

fn open(directory: &File, path: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        match regular::look_in(directory, path, Links::Refused) {
            Ok(Entry::Regular(entry)) => {
                regular::keeps_files(&entry)?;
                return regular::reopen(&entry, OFlag::O_WRONLY | OFlag::O_APPEND);
            }
            Ok(Entry::Other(what)) => {
                return Err(io::Error::other(format!(
                    "it is {what}, not a regular file"
                )));
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
        if let Some(file) = create(directory, path)? {
            return Ok(file);
        }
    }
    Err(io::Error::other("it keeps appearing and disappearing"))
}

/// Makes the file; `None` when another process has made something of that name.
fn create(directory: &File, path: &Path) -> io::Result<Option<File>> {
    regular::keeps_files(directory)?;
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CLOEXEC;
    let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    match openat(directory, regular::name(path)?, flags, mode) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::EEXIST) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn write(mut file: File, bytes: &[u8]) -> io::Result<()> {
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
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};

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
        for elsewhere in [
            "/dev/null",
            "/dev/ptmx",
            "/proc/sys/kernel/hostname",
            "/sys/kernel/mm/transparent_hugepage/enabled",
            "/sys/kernel/none",
            "/proc/none",
        ] {
            assert!(append(Path::new(elsewhere), b"x").is_err(), "{elsewhere}");
        }
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
