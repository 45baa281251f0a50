//! Whether there was a stdout when the process began.
//!
//! Rust's runtime opens /dev/null in the place of a closed stdout before `main`, and whatever is written
//! there succeeds and is lost. So it is looked at before that, where the C library calls
//! what is in the section `.init_array`.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the C library calls what is in this section with its argument vector, which a C function
// may leave alone, and before any other thread is there. `look` needs nothing of Rust's runtime.
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[allow(unsafe_code)]
extern "C" fn look() {
    // SAFETY: F_GETFD takes a number and no memory.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Whether the process was started without a stdout.
pub fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
