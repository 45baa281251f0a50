//! One change of an attachment at a time.
//!
//! A runtime may kill a plugin and call DEL, while the `iptables-restore` that the plugin started
//! still runs: what that one adds would never be removed. So who changes an attachment holds an
//! abstract Unix socket bound to its name, and the programs it starts inherit the socket. The kernel
//! frees the name when the last of them is gone; nothing is left on disk, and the name is one of the
//! network namespace, as the rules are.

use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use common::Attachment;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

/// How long to wait for the one before. Anybody can bind any name, so a name that stays taken is no
/// reason to fail: programs of ours are done long before.
const PATIENCE: Duration = Duration::from_secs(15);

/// The right to change an attachment, until it is dropped and all programs started meanwhile ended.
#[derive(Debug)]
pub struct Turn {
    _held: Option<OwnedFd>,
}

impl Turn {
    /// Waits for the ones before.
    pub fn of(attachment: &Attachment) -> Turn {
        let name = attachment.exact_name("cni-portmap-", 76);
        Turn {
            _held: take(name.as_bytes()),
        }
    }
}

fn take(name: &[u8]) -> Option<OwnedFd> {
    // Without SOCK_CLOEXEC: it is meant to be inherited.
    let fd = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::empty(),
        None,
    )
    .ok()?;
    let address = UnixAddr::new_abstract(name).ok()?;
    let start = Instant::now();
    loop {
        match bind(fd.as_raw_fd(), &address) {
            Ok(()) => return Some(fd),
            Err(Errno::EADDRINUSE) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_waits_until_the_one_before_is_gone() {
        let attachment = Attachment {
            network: "turn".into(),
            container: std::process::id().to_string(),
            ifname: "eth0".into(),
        };
        let first = Turn::of(&attachment);
        let name = attachment.exact_name("cni-portmap-", 76);
        let taken = || {
            let fd = socket(
                AddressFamily::Unix,
                SockType::Datagram,
                SockFlag::empty(),
                None,
            )
            .unwrap();
            bind(
                fd.as_raw_fd(),
                &UnixAddr::new_abstract(name.as_bytes()).unwrap(),
            )
            .is_err()
        };
        assert!(taken());
        let waiting = thread::spawn(move || Turn::of(&attachment));
        drop(first);
        assert!(waiting.join().unwrap()._held.is_some());
    }
}
