//! The tables of the legacy iptables, as the kernel hands them out.
//!
//! include/uapi/linux/netfilter_ipv4/ip_tables.h and netfilter_ipv6/ip6_tables.h: the two IP versions
//! have the same options and the same answers but for the entries. The tables are those of the calling
//! thread's network namespace.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::netlink::u32_at;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`
const GET_INFO: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`
const GET_ENTRIES: libc::c_int = 65;
/// Bytes of a table's name (`XT_TABLE_MAXNAMELEN`).
const NAME: usize = 32;
/// Bytes of `struct ipt_getinfo`, and where in it the hooks are and the entries' size is.
const INFO: usize = 84;
const VALID_HOOKS: usize = 32;
const HOOK_ENTRY: usize = 36;
const SIZE: usize = 80;
/// Bytes of `struct ipt_get_entries` before the entries, which are aligned to 8.
const ENTRIES: usize = 40;
/// How often a table is read that others replace in between.
const TRIES: usize = 20;

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XTable {
    /// Where the chain of each hook begins in `entries`, in bytes; `None` for a hook that the table does
    /// not have. The index is the hook's number (`enum nf_inet_hooks`).
    pub hooks: [Option<usize>; 5],
    /// `struct ipt_entry` or `struct ip6t_entry`, one after the other.
    pub entries: Vec<u8>,
}

/// Reads a table. The kernel makes the table if this namespace has none yet: ask /proc/net first.
///
/// # Errors
/// What the kernel refused: `EPERM` without `CAP_NET_ADMIN`, `ENOENT` for a table that it does not
/// know, `EAGAIN` when others replace the table all the time.
pub fn read(is_ipv6: bool, table: &str) -> Result<XTable, Errno> {
    let (family, level) = match is_ipv6 {
        true => (AddressFamily::Inet6, libc::SOL_IPV6),
        false => (AddressFamily::Inet, libc::SOL_IP),
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, RAW)?;
    let mut name = [0; NAME];
    for (place, byte) in name.iter_mut().take(NAME - 1).zip(table.bytes()) {
        *place = byte;
    }
    for _ in 0..TRIES {
        let mut info = vec![0; INFO];
        fill(&mut info, 0, &name);
        get(&socket, level, GET_INFO, &mut info)?;
        let number = |at| u32_at(&info, at).ok_or(Errno::EIO);
        let size = number(SIZE)?;
        let mut bytes = vec![0; ENTRIES + size as usize];
        fill(&mut bytes, 0, &name);
        fill(&mut bytes, NAME, &size.to_ne_bytes());
        match get(&socket, level, GET_ENTRIES, &mut bytes) {
            // Another size than a moment ago.
            Err(Errno::EAGAIN) => continue,
            outcome => outcome?,
        }
        let valid = number(VALID_HOOKS)?;
        let mut hooks = [None; 5];
        for (index, hook) in hooks.iter_mut().enumerate() {
            if valid & 1 << index != 0 {
                *hook = Some(number(HOOK_ENTRY + 4 * index)? as usize);
            }
        }
        return Ok(XTable {
            hooks,
            entries: bytes.split_off(ENTRIES),
        });
    }
    Err(Errno::EAGAIN)
}

/// `IPPROTO_RAW`: what iptables itself asks through.
const RAW: nix::sys::socket::SockProtocol = nix::sys::socket::SockProtocol::Raw;

fn fill(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(with) {
        *place = *byte;
    }
}

#[allow(unsafe_code, reason = "nix has no options of a caller's own size")]
fn get(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    bytes: &mut [u8],
) -> Result<(), Errno> {
    let mut length = libc::socklen_t::try_from(bytes.len()).map_err(|_| Errno::EMSGSIZE)?;
    // SAFETY: `socket` is open, and pointer and length describe `bytes`, which live through the call;
    // the kernel writes no more than `length` bytes.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(failed).map(drop)
}
