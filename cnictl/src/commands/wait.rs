//! `wait`: does nothing until a signal ends it.

use common::Error;

use super::print;
use crate::follow::wake::{Signals, Woken, wait};

pub fn run() -> Result<u8, Error> {
    let signals = Signals::block()?;
    // From here on no signal is lost.
    let code = print("waiting\n")?;
    while wait(&signals, None, None)? == Woken::Due {}
    Ok(code)
}
