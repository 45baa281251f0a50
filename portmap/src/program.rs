//! Other programs: where they are, and how they are run. All that this plugin starts, it starts here.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use common::error::{Code, Context, Error};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Searched after PATH: runtimes start plugins with a poor one.
const USUAL_PLACES: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long a program may take. They wait 5 seconds for a lock, and write ten thousand rules in a few;
/// a kubelet waits two minutes for all of an attachment.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at a program that has closed its output and is about to end.
const PAUSE: Duration = Duration::from_micros(50);
/// The most that a program may print, in bytes: rules of a hundred thousand host ports are less.
const MOST: usize = 256 << 20;
/// How much is read at once.
const CHUNK: usize = 1 << 16;

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed on stdout.
    pub printed: String,
    /// What it printed on stderr.
    pub said: String,
}

/// How a program ended, in words.
pub fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Where a program is: in a directory of PATH that is named by its whole path, or in a usual place. An
/// empty or relative entry of PATH would be a directory of whoever called. `None` where it is in none of
/// them.
///
/// # Errors
/// Code 100 where one of them cannot be looked at: another program behind it may be the wrong one.
pub fn find(name: &str) -> Result<Option<PathBuf>, Error> {
    find_in(&env::var_os("PATH").unwrap_or_default(), name)
}

fn find_in(path: &OsStr, name: &str) -> Result<Option<PathBuf>, Error> {
    let places = env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .chain(USUAL_PLACES.iter().map(PathBuf::from));
    for file in places.map(|dir| dir.join(name)) {
        let seen = is_program(&file);
        if seen.context(Code::System, || {
            format!("look for program {}", file.display())
        })? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn is_program(file: &Path) -> io::Result<bool> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match fs::metadata(file) {
        Ok(meta) => Ok(meta.is_file() && meta.permissions().mode() & 0o111 != 0),
        Err(cause) if matches!(cause.kind(), NotFound | NotADirectory) => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Runs a program with this input, which it may read when it likes.
///
/// # Errors
/// Why it did not start, or that it did not end in time; it is killed then, and what it started, too.
/// `BrokenPipe` where it ended well without having read its input: it did only a part.
pub fn run(program: &Path, arguments: &[&str], input: &str) -> io::Result<Output> {
    run_for(LIMIT, program, arguments, input)
}

fn run_for(limit: Duration, program: &Path, arguments: &[&str], input: &str) -> io::Result<Output> {
    let deadline = Instant::now() + limit;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let outcome = attend(&mut child, input.as_bytes(), deadline);
    if outcome.is_err() {
        end(&mut child);
    }
    outcome.map_err(|cause| match cause.kind() {
        io::ErrorKind::TimedOut => {
            let said = format!("it did not end within {} seconds", limit.as_secs_f32());
            io::Error::new(io::ErrorKind::TimedOut, said)
        }
        _ => cause,
    })
}

/// Kills a program and what it started. One that has ended is only waited for.
fn end(child: &mut Child) {
    if let (Ok(None), Ok(group)) = (child.try_wait(), i32::try_from(child.id())) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = child.wait();
    }
}

/// Feeds a program, reads what it prints, and waits for its end.
fn attend(child: &mut Child, input: &[u8], deadline: Instant) -> io::Result<Output> {
    let mut feed = Feed::new(child.stdin.take(), input)?;
    let (mut out, mut err) = (
        Drain::new(child.stdout.take()),
        Drain::new(child.stderr.take()),
    );
    while out.is_open() || err.is_open() {
        let (may_write, may_read, may_read_errors) = ready(&feed, &out, &err, deadline)?;
        if may_write {
            feed.go_on();
        }
        if may_read {
            out.go_on()?;
        }
        if may_read_errors {
            err.go_on()?;
        }
    }
    let status = status(child, deadline)?;
    // It may have ended before all was written.
    let unread = feed
        .pipe
        .is_some()
        .then(|| io::ErrorKind::BrokenPipe.into());
    match feed.failure.or(unread) {
        Some(cause) if status.success() => Err(cause),
        _ => Ok(Output {
            status,
            printed: String::from_utf8_lossy(&out.bytes).into_owned(),
            said: String::from_utf8_lossy(&err.bytes).into_owned(),
        }),
    }
}

fn status(child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(status),
            None if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            None => thread::sleep(PAUSE),
        }
    }
}

/// Waits until one of the pipes can be used, and says which can.
fn ready<R: Read + AsFd, E: Read + AsFd>(
    feed: &Feed<'_>,
    out: &Drain<R>,
    err: &Drain<E>,
    deadline: Instant,
) -> io::Result<(bool, bool, bool)> {
    let pipes = [
        (feed.fd(), PollFlags::POLLOUT),
        (out.fd(), PollFlags::POLLIN),
        (err.fd(), PollFlags::POLLIN),
    ];
    let mut open: Vec<PollFd<'_>> = Vec::new();
    for (fd, flags) in &pipes {
        open.extend(fd.map(|fd| PollFd::new(fd, *flags)));
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut open, timeout) {
        Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
        Err(nix::errno::Errno::EINTR) => return Ok((false, false, false)),
        outcome => outcome?,
    };
    let mut seen = open.iter().map(|fd| fd.any().unwrap_or(false));
    let mut is_ready = |fd: &Option<BorrowedFd<'_>>| fd.is_some() && seen.next() == Some(true);
    let [feed, out, err] = &pipes;
    Ok((is_ready(&feed.0), is_ready(&out.0), is_ready(&err.0)))
}

/// What a program still has to be given.
struct Feed<'a> {
    pipe: Option<ChildStdin>,
    rest: &'a [u8],
    failure: Option<io::Error>,
}

impl<'a> Feed<'a> {
    fn new(pipe: Option<ChildStdin>, input: &'a [u8]) -> io::Result<Feed<'a>> {
        if let Some(pipe) = &pipe {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Feed {
            pipe: pipe.filter(|_| !input.is_empty()),
            rest: input,
            failure: None,
        })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Writes as much as the pipe takes, and closes it behind the last byte.
    fn go_on(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return;
        };
        match pipe.write(self.rest) {
            Ok(written) => self.rest = self.rest.get(written..).unwrap_or(&[]),
            Err(cause) if is_momentary(&cause) => {}
            Err(cause) => {
                self.failure = Some(cause);
                self.rest = &[];
            }
        }
        if self.rest.is_empty() {
            self.pipe = None;
        }
    }
}

/// What a program has printed.
struct Drain<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Drain<R> {
    fn new(pipe: Option<R>) -> Drain<R> {
        Drain {
            pipe,
            bytes: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what there is.
    fn go_on(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut chunk = vec![0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(read) if self.bytes.len() + read > MOST => {
                let said = format!("it printed more than {} MiB", MOST >> 20);
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, said));
            }
            Ok(read) => self.bytes.extend(chunk.get(..read).unwrap_or(&[])),
            Err(cause) if is_momentary(&cause) => {}
            Err(cause) => return Err(cause),
        }
        Ok(())
    }
}

fn is_momentary(cause: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(cause.kind(), Interrupted | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(limit: Duration, script: &str, input: &str) -> io::Result<Output> {
        run_for(limit, Path::new("/bin/sh"), &["-c", script], input)
    }

    #[test]
    fn a_program_that_prints_before_it_has_read_all_is_fed_on() {
        let much = "x".repeat(1 << 20);
        let script = "head -c 1048576 /dev/zero; head -c 1048576 /dev/zero >&2; cat";
        let output = shell(LIMIT, script, &much).unwrap();
        assert!(output.status.success());
        assert_eq!(
            (output.printed.len(), output.said.len()),
            (2 << 20, 1 << 20)
        );
        assert!(output.printed.ends_with('x'));
    }

    #[test]
    fn one_that_does_not_end_is_killed_with_what_it_started() {
        let soon = Duration::from_millis(300);
        for script in [
            "sleep 1000 & echo $! >&2; wait",
            "exec >&- 2>&-; sleep 1000",
        ] {
            let start = Instant::now();
            let cause = shell(soon, script, "").unwrap_err();
            assert_eq!(cause.kind(), io::ErrorKind::TimedOut, "{script}");
            assert!(start.elapsed() < Duration::from_secs(100));
        }
    }

    #[test]
    fn one_that_prints_without_end_is_killed() {
        for redirection in ["", ">&2"] {
            let cause = shell(LIMIT, &format!("exec yes {redirection}"), "").unwrap_err();
            assert_eq!(cause.kind(), io::ErrorKind::FileTooLarge);
        }
    }

    #[test]
    fn success_counts_only_where_the_input_was_read() {
        let much = "x".repeat(1 << 20);
        let cause = shell(LIMIT, "exit 0", &much).unwrap_err();
        assert_eq!(cause.kind(), io::ErrorKind::BrokenPipe);
        let output = shell(LIMIT, "echo why >&2; exit 3", &much).unwrap();
        assert_eq!(
            (output.status.code(), output.said.as_str()),
            (Some(3), "why\n")
        );
    }

    #[test]
    fn programs_are_found_by_whole_paths_only() {
        let dir = env::temp_dir().join(format!("portmap-program-{}", std::process::id()));
        fs::create_dir_all(dir.join("bin")).unwrap();
        for (name, mode) in [("one", 0o755), ("two", 0o644)] {
            let file = dir.join("bin").join(name);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let whole = dir.join("bin").into_os_string();
        let found = |path: &OsStr, name| find_in(path, name).unwrap();
        assert_eq!(found(&whole, "one"), Some(dir.join("bin/one")));
        assert_eq!(found(&whole, "two"), None);
        // The tests run in the package's directory.
        for path in ["", ":", ".", "src", "./src:"] {
            assert_eq!(found(OsStr::new(path), "lib.rs"), None, "{path:?}");
        }
        assert!(found(OsStr::new(""), "sh").is_some());
        // A file in the place of a directory has no programs.
        let file = dir.join("bin/one").into_os_string();
        assert!(found(&file, "sh").is_some());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_looked_at_is_not_passed_by() {
        let dir = env::temp_dir().join(format!("portmap-loop-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink(dir.join("sh"), dir.join("sh")).unwrap();
        let error = find_in(dir.as_os_str(), "sh").unwrap_err();
        assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
