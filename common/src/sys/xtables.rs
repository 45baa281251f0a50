//! The tables of the legacy iptables, as the kernel hands them out and takes them.
//!
//! include/uapi/linux/netfilter_ipv4/ip_tables.h and netfilter_ipv6/ip6_tables.h: the two IP versions
//! have the same options and the same answers except for the entries. The tables are those of the calling
//! thread's network namespace.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::netlink::u32_at;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`; of the options that are set, the same numbers are those that
/// replace a table and add to its counters.
const GET_INFO: libc::c_int = 64;
const REPLACE: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`
const GET_ENTRIES: libc::c_int = 65;
const ADD_COUNTERS: libc::c_int = 65;
/// Bytes of a table's name (`XT_TABLE_MAXNAMELEN`).
const NAME: usize = 32;
/// Bytes of `struct ipt_getinfo`, and where in it the hooks are, and the entries' number and size.
const INFO: usize = 84;
const VALID_HOOKS: usize = 32;
const HOOK_ENTRY: usize = 36;
const UNDERFLOW: usize = 56;
const COUNT: usize = 76;
const SIZE: usize = 80;
/// Where the counters' pointer is in `struct ipt_replace`.
const COUNTERS: usize = 88;
/// How often a table is read that others replace in between.
const TRIES: usize = 20;
/// Packets and bytes.
type Counters = [u64; 2];

/// What C makes of the structures on a machine. Entries and counters hold numbers of 8 bytes, which some
/// 32-bit machines align to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// What numbers of 8 bytes are aligned to.
    pub long_alignment: usize,
    /// Bytes of a pointer.
    pub pointer: usize,
}

impl Machine {
    /// This one.
    pub const THIS: Machine = Machine {
        long_alignment: align_of::<u64>(),
        pointer: size_of::<usize>(),
    };

    /// Where a number of 8 bytes, or a structure that has one, is after this many bytes.
    pub const fn aligned(self, bytes: usize) -> usize {
        bytes.next_multiple_of(self.long_alignment)
    }

    /// Bytes of `struct ipt_get_entries` before the entries, and of `struct xt_counters_info` before the
    /// counters: a name and a number.
    const fn after_name(self) -> usize {
        self.aligned(NAME + 4)
    }

    /// Bytes of `struct ipt_replace` before the entries.
    const fn after_replace(self) -> usize {
        self.aligned(COUNTERS + self.pointer)
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XTable {
    /// Where the chain of each hook begins in `entries`, in bytes; `None` for a hook that the table does
    /// not have. The index is the hook's number (`enum nf_inet_hooks`).
    pub hooks: [Option<usize>; 5],
    /// Where the policy of each hook's chain is; of no meaning for other hooks.
    pub policies: [usize; 5],
    /// How many entries there are.
    pub count: usize,
    /// `struct ipt_entry` or `struct ip6t_entry`, one after the other.
    pub entries: Vec<u8>,
}

/// Reads a table. The kernel makes the table if this namespace has none yet: look at /proc/net first.
///
/// # Errors
/// What the kernel refused: `EPERM` without `CAP_NET_ADMIN`, `ENOENT` for a table that it does not
/// know, `EAGAIN` when others replace the table all the time.
pub fn read(is_ipv6: bool, table: &str) -> Result<XTable, Errno> {
    let socket = Socket::new(is_ipv6)?;
    let name = name(table);
    for _ in 0..TRIES {
        let info = socket.info(&name)?;
        let number = |at| u32_at(&info, at).ok_or(Errno::EIO);
        let size = number(SIZE)?;
        let before = Machine::THIS.after_name();
        let mut bytes = vec![0; before + size as usize];
        fill(&mut bytes, 0, &name);
        fill(&mut bytes, NAME, &size.to_ne_bytes());
        match socket.get(GET_ENTRIES, &mut bytes) {
            // Another size than a moment ago.
            Err(Errno::EAGAIN) => continue,
            outcome => outcome?,
        }
        let valid = number(VALID_HOOKS)?;
        let (mut hooks, mut policies) = ([None; 5], [0; 5]);
        for (index, (hook, policy)) in hooks.iter_mut().zip(&mut policies).enumerate() {
            *policy = number(UNDERFLOW + 4 * index)? as usize;
            if valid & 1 << index != 0 {
                *hook = Some(number(HOOK_ENTRY + 4 * index)? as usize);
            }
        }
        return Ok(XTable {
            hooks,
            policies,
            count: number(COUNT)? as usize,
            entries: bytes.split_off(before),
        });
    }
    Err(Errno::EAGAIN)
}

/// Where a table's chains begin, how many entries it has, and their size, as the kernel says it: other bytes
/// mean another table. As [`read`] it makes the table.
///
/// # Errors
/// As [`read`].
pub fn info(is_ipv6: bool, table: &str) -> Result<Vec<u8>, Errno> {
    Socket::new(is_ipv6)?.info(&name(table))
}

/// Puts a table in the place of one with `count` entries. `origins` says of each new entry which one of
/// the old it was, if any: it keeps what that one counted.
///
/// # Errors
/// What the kernel refused: `EAGAIN` when the table has another number of entries by now. Nothing is
/// changed then.
pub fn replace(
    is_ipv6: bool,
    table: &str,
    new: &XTable,
    count: usize,
    origins: &[Option<usize>],
) -> Result<(), Errno> {
    let socket = Socket::new(is_ipv6)?;
    // The kernel writes what the old entries counted there.
    let mut counted: Vec<Counters> = vec![[0; 2]; count];
    let request = replacement(Machine::THIS, table, new, &mut counted)?;
    socket.set(REPLACE, &request)?;
    let kept = origins.iter().map(|old| counted.get((*old)?));
    let mut counters = header(Machine::THIS, table, new.count)?;
    for [packets, bytes] in kept.map(|kept| kept.copied().unwrap_or_default()) {
        counters.extend(packets.to_ne_bytes());
        counters.extend(bytes.to_ne_bytes());
    }
    // The rules are in. Numbers that are lost now change no packet's way.
    let _ = socket.set(ADD_COUNTERS, &counters);
    Ok(())
}

/// `struct ipt_replace`
fn replacement(
    machine: Machine,
    table: &str,
    new: &XTable,
    counted: &mut [Counters],
) -> Result<Vec<u8>, Errno> {
    let number = |value: usize| u32::try_from(value).map_err(|_| Errno::EMSGSIZE);
    let hooks = new.hooks.iter().enumerate();
    let valid: u32 = hooks
        .filter(|(_, hook)| hook.is_some())
        .map(|(index, _)| 1 << index)
        .sum();
    let mut numbers = vec![valid, number(new.count)?, number(new.entries.len())?];
    for hook in new.hooks {
        numbers.push(number(hook.unwrap_or(0))?);
    }
    for policy in new.policies {
        numbers.push(number(policy)?);
    }
    numbers.push(number(counted.len())?);
    let mut request = name(table).to_vec();
    request.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
    let pointer = counted.as_mut_ptr().expose_provenance().to_ne_bytes();
    request.extend(pointer.iter().take(machine.pointer));
    request.resize(machine.after_replace(), 0);
    request.extend(&new.entries);
    Ok(request)
}

/// A table's name and a number, before what is aligned.
fn header(machine: Machine, table: &str, number: usize) -> Result<Vec<u8>, Errno> {
    let number = u32::try_from(number).map_err(|_| Errno::EMSGSIZE)?;
    let mut bytes = name(table).to_vec();
    bytes.extend(number.to_ne_bytes());
    bytes.resize(machine.after_name(), 0);
    Ok(bytes)
}

fn name(table: &str) -> [u8; NAME] {
    let mut name = [0; NAME];
    for (place, byte) in name.iter_mut().take(NAME - 1).zip(table.bytes()) {
        *place = byte;
    }
    name
}

fn fill(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(with) {
        *place = *byte;
    }
}

/// `IPPROTO_RAW`: the protocol of the socket that iptables itself uses.
const RAW: nix::sys::socket::SockProtocol = nix::sys::socket::SockProtocol::Raw;

/// Socket and options of an IP version's tables.
struct Socket {
    socket: OwnedFd,
    level: libc::c_int,
}

impl Socket {
    fn new(is_ipv6: bool) -> Result<Socket, Errno> {
        let (family, level) = match is_ipv6 {
            true => (AddressFamily::Inet6, libc::SOL_IPV6),
            false => (AddressFamily::Inet, libc::SOL_IP),
        };
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, RAW)?;
        Ok(Socket { socket, level })
    }

    /// `struct ipt_getinfo`
    fn info(&self, name: &[u8; NAME]) -> Result<Vec<u8>, Errno> {
        let mut info = vec![0; INFO];
        fill(&mut info, 0, name);
        self.get(GET_INFO, &mut info)?;
        Ok(info)
    }

    #[allow(unsafe_code, reason = "nix has no options of a caller's own size")]
    fn get(&self, option: libc::c_int, bytes: &mut [u8]) -> Result<(), Errno> {
        let mut length = libc::socklen_t::try_from(bytes.len()).map_err(|_| Errno::EMSGSIZE)?;
        // SAFETY: the socket is open, and pointer and length describe `bytes`, which live through the
        // call; the kernel writes no more than `length` bytes.
        let failed = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                self.level,
                option,
                bytes.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        Errno::result(failed).map(drop)
    }

    #[allow(unsafe_code, reason = "nix has no options of a caller's own size")]
    fn set(&self, option: libc::c_int, bytes: &[u8]) -> Result<(), Errno> {
        let length = libc::socklen_t::try_from(bytes.len()).map_err(|_| Errno::EMSGSIZE)?;
        // SAFETY: the socket is open, and pointer and length describe `bytes`, which live through the
        // call. A request to replace a table holds the address of as many counters as it says, which
        // `replace` keeps until then.
        let failed = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                self.level,
                option,
                bytes.as_ptr().cast(),
                length,
            )
        };
        Errno::result(failed).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_laid_out_as_the_machine_s_c_does() {
        let machine = |long_alignment, pointer| Machine {
            long_alignment,
            pointer,
        };
        // x86_64 and aarch64, arm, i386: before entries that are read, before those that are written.
        for (machine, expected) in [
            (machine(8, 8), (40, 96)),
            (machine(8, 4), (40, 96)),
            (machine(4, 4), (36, 92)),
        ] {
            let actual = (machine.after_name(), machine.after_replace());
            assert_eq!(actual, expected, "{machine:?}");
        }
    }

    #[test]
    fn a_replacement_names_what_it_holds() {
        let table = XTable {
            hooks: [Some(0), None, None, Some(152), None],
            policies: [7, 0, 0, 9, 0],
            count: 3,
            entries: vec![1; 456],
        };
        let request = replacement(Machine::THIS, "nat", &table, &mut [[0; 2]; 5]).unwrap();
        let number = |at| u32_at(&request, at).unwrap();
        assert_eq!(&request[..4], b"nat\0");
        assert_eq!((number(32), number(36), number(40)), (0b1001, 3, 456));
        assert_eq!((number(44), number(56), number(64)), (0, 152, 7));
        assert_eq!((number(76), number(84)), (9, 5));
        assert_eq!(request.len(), Machine::THIS.after_replace() + 456);
    }
}
