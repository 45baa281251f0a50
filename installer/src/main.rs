//! Puts the plugins into a node's CNI directory and takes them out again. It is the entry point of
//! the image, which has no shell.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};

const USAGE: &str = "\
usage: installer install DIR   replace the plugins in DIR, each by one rename; keep what was there
       installer restore DIR   put back what `install` replaced; success where nothing is left to do
       installer wait          do nothing until SIGTERM or SIGINT

The plugins to install are all files of the directory `plugins` beside this program.
What was replaced, and the sums of what was installed, are kept in DIR/.cni-meta-plugins.
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|a| a.to_str()).collect();
    let done = match (words.as_slice(), arguments.get(1)) {
        (["install", ..], Some(dir)) if arguments.len() == 2 => {
            payload().and_then(|from| installer::install(&from, Path::new(dir)))
        }
        (["restore", ..], Some(dir)) if arguments.len() == 2 => installer::restore(Path::new(dir)),
        (["wait"], None) => wait().map(|()| Vec::new()),
        (["--help" | "-h"], None) => return tell(&mut io::stdout(), USAGE, ExitCode::SUCCESS),
        _ => return tell(&mut io::stderr(), USAGE, ExitCode::from(2)),
    };
    match done {
        Ok(lines) => {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            tell(&mut io::stdout(), &text, ExitCode::SUCCESS)
        }
        Err(error) => tell(&mut io::stderr(), &format!("{error}\n"), ExitCode::FAILURE),
    }
}

/// The directory of the plugins in the image.
fn payload() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.with_file_name("plugins"))
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
