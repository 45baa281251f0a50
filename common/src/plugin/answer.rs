//! What goes to stdout: one document, or one error, whatever happens.

use std::io;
use std::panic::PanicHookInfo;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

use crate::error::{Code, Error, short, shortened};
use crate::json::Json;
use crate::sys::stdout;
use crate::version::Version;

/// Whether a part of an answer went out.
static ANSWERED: AtomicBool = AtomicBool::new(false);

/// Answers in the place of a plugin that cannot go on: the runtime gets an error, not silence.
pub(super) fn answer_for(panic: &PanicHookInfo) {
    if !ANSWERED.load(Ordering::Relaxed) {
        let msg =
            "the plugin cannot continue, and nothing was rolled back: DEL removes what it created";
        let why = panic.payload_as_str().unwrap_or_default();
        let at = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        let error = Error::new(Code::System, msg).with_details(format!("{} ({at})", short(why)));
        tell(&error, Version::V110);
    }
    process::exit(1);
}

pub(super) fn print(output: &str) -> ExitCode {
    match write_out(output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// An answer that did not go out.
pub(super) struct Unwritten {
    pub(super) errno: Errno,
    /// Whether a part of it went out, after which nothing else makes a document.
    pub(super) is_torn: bool,
}

/// Writes to stdout without a buffer, so that a failure is known here and nothing comes later.
pub(super) fn write_out(output: &str) -> Result<(), Unwritten> {
    let mut rest = output.as_bytes();
    while !rest.is_empty() {
        let written = match stdout::was_closed() {
            true => Err(Errno::EBADF),
            false => nix::unistd::write(io::stdout(), rest),
        };
        let errno = match written {
            Ok(0) => Errno::EIO,
            Ok(written) => {
                ANSWERED.store(true, Ordering::Relaxed);
                rest = rest.get(written..).unwrap_or_default();
                continue;
            }
            Err(Errno::EINTR) => continue,
            Err(errno) => errno,
        };
        let is_torn = rest.len() < output.len();
        return Err(Unwritten { errno, is_torn });
    }
    Ok(())
}

/// The most of an error's `msg` and `details` that is answered, in bytes. What they quote is bounded
/// where it is quoted; these keep a list of thousands, or a path without end, from becoming the answer.
const MSG: usize = 1000;
const DETAILS: usize = 16 << 10;

/// Answers with an error.
pub(super) fn tell(error: &Error, version: Version) {
    let mut fields = vec![
        ("cniVersion".into(), version.text().into()),
        ("code".into(), i64::from(error.code.number()).into()),
        ("msg".into(), shortened(&error.msg, MSG).as_ref().into()),
    ];
    if !error.details.is_empty() {
        let details = shortened(&error.details, DETAILS);
        fields.push(("details".into(), details.as_ref().into()));
    }
    let answer = Json::Object(fields).pretty();
    if let Err(Unwritten { is_torn: false, .. }) = write_out(&answer) {
        // Once more, as the runtime must hear of it. A closed stdout leaves no way to report.
        let _ = write_out(&answer);
    }
}
