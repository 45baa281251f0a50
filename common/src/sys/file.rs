//! State files: written whole or not at all, read only when they are files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, mkdirat};

use super::regular::{self, Entry, Links};
use super::rename::{Taken, rename};
use crate::error::{Code, Context, Error};

/// The most that is read of a file, in bytes: four times what a request may have.
pub const LIMIT: u64 = 64 << 20;

/// A file being written, under a name that only its writer knows. What is not named by
/// [`Draft::replace`] or [`Draft::create`] goes with it.
#[derive(Debug)]
pub struct Draft {
    dir: PathBuf,
    path: PathBuf,
}

impl Draft {
    /// Writes `dir`/`name`, mode 0600; missing directories get 0700. What a killed writer left under
    /// that name is removed: two processes must not have one name for their drafts.
    ///
    /// # Errors
    /// Code 5 with the path and what was tried; nothing is left then.
    pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<Draft, Error> {
        make_directory(dir)?;
        let draft = Draft {
            dir: dir.to_owned(),
            path: dir.join(name),
        };
        remove(&draft.path)?;
        draft.fill(bytes).context(Code::Io, || draft.tried())?;
        Ok(draft)
    }

    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&self.path)?.write_all(bytes)
    }

    fn tried(&self) -> String {
        format!("write {}", self.path.display())
    }

    /// Waits until the content is on the disk.
    ///
    /// # Errors
    /// Code 5 with the path.
    pub fn sync(&self) -> Result<(), Error> {
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        synced.context(Code::Io, || self.tried())
    }

    /// Makes it readable for everyone.
    ///
    /// # Errors
    /// Code 5 with the path.
    pub fn publish(&self) -> Result<(), Error> {
        let readable = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&self.path, readable).context(Code::Io, || self.tried())
    }

    /// Gives the file its name; a file that has it already is replaced.
    ///
    /// # Errors
    /// Code 5 with the path; also where a device, a link, or anything else that is not a file has the
    /// name: to replace /dev/null would break the node.
    pub fn replace(self, name: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        let tried = || format!("write {}", path.display());
        match regular::look(&path, Links::Refused) {
            Ok(Entry::Other(what)) => return Err(no_file(tried(), what)),
            Err(cause) if !is_absence(&cause) => return Err(cause).context(Code::Io, tried),
            _ => {}
        }
        fs::rename(&self.path, &path).context(Code::Io, tried)
    }

    /// Gives the file its name, unless another file has it: then the answer is `false`.
    ///
    /// # Errors
    /// Code 5 with the path.
    pub fn create(self, name: &str) -> Result<bool, Error> {
        let path = self.dir.join(name);
        let tried = || format!("write {}", path.display());
        match rename(&self.path, &path, Taken::Refuse) {
            // Where the file system cannot rename so, the file has two names for a moment.
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                let linked = is_free(fs::hard_link(&self.path, &path)).context(Code::Io, tried)?;
                remove(&self.path)?;
                Ok(linked)
            }
            renamed => is_free(renamed.map_err(io::Error::from)).context(Code::Io, tried),
        }
    }
}

/// Whether a name was free, where that is all that can be wrong.
fn is_free(named: io::Result<()>) -> io::Result<bool> {
    match named {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(cause) => Err(cause),
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing; and an earlier failure is the one to report.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes `bytes` to `dir`/`name` so that a crash leaves the old file or the new one, never a part.
///
/// Two processes must not write the same file at once: each file has one owner.
///
/// # Errors
/// Code 5 with the path and what was tried; no temporary file is left then.
pub fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let draft = Draft::write(dir, &format!(".{name}.tmp"), bytes)?;
    draft.sync()?;
    draft.replace(name)?;
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.context(Code::Io, || format!("write {}", dir.display()))
}

/// Makes a directory and those above it, as far as they are missing, mode 0700.
///
/// # Errors
/// Code 5 with the path; also where the file system keeps no files (a directory in cgroup2 is a cgroup).
pub fn make_directory(dir: &Path) -> Result<File, Error> {
    made(dir).context(Code::Io, || format!("create directory {}", dir.display()))
}

fn made(dir: &Path) -> io::Result<File> {
    let missing = match regular::directory(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => cause,
        found => return found.and_then(|dir| regular::keeps_files(&dir).map(|()| dir)),
    };
    // The root and the working directory have none above them to be made in.
    let above = made(dir.parent().ok_or(missing)?)?;
    match mkdirat(&above, regular::name(dir)?, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => regular::directory(dir),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a file; one that is not there is success.
///
/// # Errors
/// Code 5 with the path.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        // A read-only file system refuses the removal of what is not there, too.
        Err(cause) if !is_absence(&cause) && !is_absent(path) => {
            Err(cause).context(Code::Io, || format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn is_absent(path: &Path) -> bool {
    let looked = path.symlink_metadata();
    looked.is_err_and(|cause| is_absence(&cause))
}

/// What is there under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Absent,
    /// A regular file's bytes.
    Bytes(Vec<u8>),
    /// Something that is not a regular file, in words; it was not opened.
    NoFile(&'static str),
}

/// The whole of a file that the administrator keeps, or `None` when it is not there. Links are followed;
/// one that leads nowhere does not count as absent: what it names was meant to be there.
///
/// # Errors
/// Code 5 with the path.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match content(path, Links::Followed)? {
        Content::Absent => {
            match path.ancestors().find(|part| is_dangling(part)) {
                Some(link) => Err(not_read(path, "behind a dangling symbolic link").and(
                    Error::new(Code::Io, format!("the link is {}", link.display())),
                )),
                None => Ok(None),
            }
        }
        Content::Bytes(bytes) => Ok(Some(bytes)),
        Content::NoFile(what) => Err(not_read(path, what)),
    }
}

/// The whole of a file that programs keep: nothing that is not a regular file is opened, and no link
/// followed.
///
/// # Errors
/// Code 5 with the path, also for files larger than [`LIMIT`].
pub fn read_state(path: &Path) -> Result<Content, Error> {
    content(path, Links::Refused)
}

/// The error about something that is not a regular file, and is not read.
pub fn not_read(path: &Path, what: &str) -> Error {
    no_file(format!("read {}", path.display()), what)
}

fn no_file(tried: String, what: &str) -> Error {
    Error::new(Code::Io, tried).with_details(format!("it is {what}, not a file"))
}

fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

fn content(path: &Path, links: Links) -> Result<Content, Error> {
    let read = match regular::look(path, links) {
        Ok(Entry::Other(what)) => return Ok(Content::NoFile(what)),
        Ok(Entry::Regular(entry)) => bytes(&entry),
        Err(cause) if is_absence(&cause) => return Ok(Content::Absent),
        Err(cause) => Err(cause),
    };
    let read = read.context(Code::Io, || format!("read {}", path.display()));
    read.map(Content::Bytes)
}

fn bytes(entry: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut length = entry.metadata()?.len();
    if length <= LIMIT {
        let file = regular::reopen(entry, OFlag::O_RDONLY)?;
        file.take(LIMIT + 1).read_to_end(&mut bytes)?;
        length = bytes.len() as u64;
    }
    match length > LIMIT {
        true => Err(io::Error::other(format!("it has more than {LIMIT} bytes"))),
        false => Ok(bytes),
    }
}

/// The names in a directory, in order; `None` when there is no directory.
///
/// # Errors
/// Code 5 with the path.
pub fn names(dir: &Path) -> Result<Option<Vec<OsString>>, Error> {
    let listed = match fs::read_dir(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.and_then(|entries| {
            let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
            names.collect::<io::Result<Vec<OsString>>>()
        }),
    };
    let mut names = listed.context(Code::Io, || format!("list {}", dir.display()))?;
    names.sort();
    Ok(Some(names))
}

/// Whether there is no such file. None can have a name that is longer than a file system allows.
fn is_absence(cause: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(cause.kind(), NotFound | NotADirectory | InvalidFilename)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_file_is_written_whole_for_root_alone_and_replaced_whole() {
        let scratch = Scratch::new("file-whole");
        let dir = scratch.0.join("a/b");
        for text in ["first, longer", "second"] {
            write_whole(&dir, "x.json", text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(dir.join("x.json")).unwrap(), text);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("x.json")), 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_is_taken_stays_and_no_draft_is_left() {
        let scratch = Scratch::new("file-taken");
        let draft = |text: &str| Draft::write(&scratch.0, ".draft", text.as_bytes()).unwrap();
        assert!(draft("first").create("x").unwrap());
        assert!(!draft("second").create("x").unwrap());
        assert_eq!(fs::read_to_string(scratch.0.join("x")).unwrap(), "first");
        // What a killed writer left, or another program put there, is not written through.
        symlink(scratch.0.join("x"), scratch.0.join(".draft")).unwrap();
        assert!(draft("third").create("y").unwrap());
        assert_eq!(fs::read_to_string(scratch.0.join("x")).unwrap(), "first");
        assert_eq!(names(&scratch.0).unwrap().unwrap(), ["x", "y"]);
    }

    #[test]
    fn what_is_no_file_keeps_its_name() {
        let scratch = Scratch::new("file-kept");
        fs::create_dir(scratch.0.join("directory")).unwrap();
        symlink("/dev/null", scratch.0.join("link")).unwrap();
        drop(UnixListener::bind(scratch.0.join("socket")).unwrap());
        for (name, what) in [
            ("directory", "a directory"),
            ("link", "a symbolic link"),
            ("socket", "a socket"),
        ] {
            let error = write_whole(&scratch.0, name, b"x").unwrap_err();
            let path = scratch.0.join(name);
            let expected = format!("write {}: it is {what}, not a file", path.display());
            assert_eq!(error.to_string(), expected);
            assert!(!path.symlink_metadata().unwrap().is_file(), "{name}");
        }
        assert_eq!(
            names(&scratch.0).unwrap().unwrap(),
            ["directory", "link", "socket"]
        );
    }

    #[test]
    fn what_is_not_there_or_cannot_be_there_is_absent() {
        let scratch = Scratch::new("file-absent");
        let file = scratch.0.join("file");
        fs::write(&file, b"").unwrap();
        for path in [
            scratch.0.join("none"),
            file.join("below-a-file"),
            scratch.0.join("x".repeat(300)),
        ] {
            assert_eq!(read(&path).unwrap(), None, "{}", path.display());
            assert_eq!(read_state(&path).unwrap(), Content::Absent);
            remove(&path).unwrap();
        }
        assert_eq!(read(&scratch.0).unwrap_err().code, Code::Io);
        assert_eq!(names(&scratch.0.join("none")).unwrap(), None);
        assert_eq!(names(&file).unwrap_err().code, Code::Io);
    }

    #[test]
    fn what_is_no_file_is_not_opened_and_a_link_followed_for_the_administrator_alone() {
        let scratch = Scratch::new("file-kinds");
        let at = |name: &str| scratch.0.join(name);
        fs::write(at("file"), "text").unwrap();
        symlink(at("file"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        for (name, what) in [
            ("link", "a symbolic link"),
            ("fifo", "a pipe"),
            ("socket", "a socket"),
            (".", "a directory"),
        ] {
            assert_eq!(read_state(&at(name)).unwrap(), Content::NoFile(what));
        }
        let device = read_state(Path::new("/dev/null")).unwrap();
        assert_eq!(device, Content::NoFile("a device"));
        assert_eq!(read(&at("link")).unwrap().unwrap(), b"text");
        symlink(at("none"), at("nowhere")).unwrap();
        for path in [at("nowhere"), at("nowhere/below")] {
            assert!(read(&path).unwrap_err().details.contains("dangling"));
        }
        assert!(
            read(&at("fifo"))
                .unwrap_err()
                .to_string()
                .contains("a pipe")
        );
    }

    #[test]
    fn a_huge_file_is_refused_before_it_fills_the_memory() {
        let scratch = Scratch::new("file-huge");
        let path = scratch.0.join("huge");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read_state(&path).unwrap_err().details.contains("more than"));
    }

    #[test]
    fn directories_are_made_only_where_they_are_directories() {
        for place in ["/proc/sys/x", "/sys/kernel/x", "/sys/kernel/x/y"] {
            assert!(make_directory(Path::new(place)).is_err(), "{place}");
            assert!(!Path::new(place).exists());
        }
    }
}
