//! `wait`: does nothing until SIGTERM or SIGINT.

use std::io;

use common::{Code, Context, Error};
use nix::sys::signal::{SigSet, Signal};

use super::print;

pub fn run() -> Result<u8, Error> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    // As process 1 of a container a signal without a handler is ignored, so it is waited for.
    let blocked = signals.thread_block().map_err(io::Error::from);
    blocked.context(Code::System, || "block signals".into())?;
    // From here on no signal is lost.
    let code = print("waiting\n")?;
    let came = signals.wait().map_err(io::Error::from);
    came.context(Code::System, || "wait for a signal".into())?;
    Ok(code)
}
