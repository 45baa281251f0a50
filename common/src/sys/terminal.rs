//! The terminal that stdout may be.

use nix::libc;

/// Characters in a line of the terminal on stdout; `None` when it is not a terminal, or does not say.
#[allow(unsafe_code, reason = "nix has no typed TIOCGWINSZ")]
pub fn stdout_width() -> Option<usize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ (ioctl_tty(2)) writes one struct winsize, which outlives the call.
    let done = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (done == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
