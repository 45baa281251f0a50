//! Puts the plugins into a node's CNI directory and takes them out again. It is the entry point of
//! the image, which has no shell.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use common::install::{self, Plugin, Replaced};
use common::{Code, Context, Error};
use nix::sys::signal::{SigSet, Signal};

const USAGE: &str = "\
usage: installer install DIR   replace the plugins in DIR, each in one step; keep what was there
       installer restore DIR   put back what `install` replaced; success where nothing is left to do
       installer wait          do nothing until SIGTERM or SIGINT

The plugins to install are all files of the directory `plugins` beside this program.
What was replaced, and the sums of what was installed, are kept in DIR/.cni-meta-plugins, as by the
plugins' own `install DIR --backup` and `uninstall DIR`.
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|a| a.to_str()).collect();
    let done = match (words.as_slice(), arguments.get(1)) {
        (["install", ..], Some(dir)) if arguments.len() == 2 => install(Path::new(dir)),
        (["restore", ..], Some(dir)) if arguments.len() == 2 => restore(Path::new(dir)),
        (["wait"], None) => wait().map(|()| String::new()),
        (["--help" | "-h"], None) => return tell(&mut io::stdout(), USAGE, ExitCode::SUCCESS),
        _ => return tell(&mut io::stderr(), USAGE, ExitCode::from(2)),
    };
    match done {
        Ok(text) => tell(&mut io::stdout(), &text, ExitCode::SUCCESS),
        Err(error) => tell(&mut io::stderr(), &format!("{error}\n"), ExitCode::FAILURE),
    }
}

fn install(dir: &Path) -> io::Result<String> {
    let plugins = payload().map_err(|error| io::Error::other(error.to_string()))?;
    let done = install::install(plugins, dir, Replaced::Kept)?;
    Ok(install::told(&done))
}

fn restore(dir: &Path) -> io::Result<String> {
    Ok(install::told(&install::restore(dir, None)?))
}

/// The plugins of the image, in the order of their names.
fn payload() -> Result<Vec<Plugin>, Error> {
    let program = std::env::current_exe().context(Code::Io, || "find this program".into())?;
    let from = program.with_file_name("plugins");
    let tried = || format!("list {}", from.display());
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&from).context(Code::Io, tried)? {
        let name = entry.context(Code::Io, tried)?.file_name();
        names.extend(name.into_string());
    }
    if names.is_empty() {
        let told = format!("no plugins in {}", from.display());
        return Err(Error::new(Code::Io, told));
    }
    let read = |name: String| {
        let path = from.join(&name);
        let bytes = fs::read(&path).context(Code::Io, || format!("read {}", path.display()))?;
        Ok(Plugin { name, bytes })
    };
    names.into_iter().map(read).collect()
}

/// As process 1 of a container a signal without a handler is ignored, so it is waited for.
fn wait() -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    // From here on no signal is lost.
    tell(&mut io::stdout(), "waiting\n", ExitCode::SUCCESS);
    signals.wait()?;
    Ok(())
}

fn tell(stream: &mut dyn Write, text: &str, code: ExitCode) -> ExitCode {
    // Nobody is left to tell when the stream is closed; the exit code says it all the same.
    let _ = stream.write_all(text.as_bytes());
    code
}
