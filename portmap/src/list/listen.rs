//! The node's own processes that listen on a port: /proc/net and /proc/PID/fd (proc(5)).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fs, io};

use common::Protocol;
use common::error::{Code, Context, Error};
use nix::errno::Errno;

/// The states in which a socket takes what comes: `TCP_LISTEN`, and `TCP_CLOSE` for an unconnected
/// UDP socket (include/net/tcp_states.h).
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket of the node that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its address and port.
    pub local: SocketAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// The process that holds it, where it can be seen.
    pub process: Option<Process>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its ID.
    pub id: u32,
    /// Its name (/proc/PID/comm).
    pub name: String,
}

/// Who listens on some ports in the calling thread's network namespace. SCTP is left out.
///
/// # Errors
/// What could not be read. An IP version that the kernel does not have is not an error.
pub fn listeners(is_wanted: impl Fn(u16, Protocol) -> bool) -> Result<Vec<Listener>, Error> {
    let mut sockets = Vec::new();
    for protocol in Protocol::ALL {
        let (files, state) = match protocol {
            Protocol::Tcp => (["tcp", "tcp6"], LISTEN),
            Protocol::Udp => (["udp", "udp6"], UNCONNECTED),
            // /proc/net/sctp/eps has no inode numbers of all sockets' file descriptors.
            Protocol::Sctp => continue,
        };
        for file in files {
            let path = format!("/proc/thread-self/net/{file}");
            let text = match fs::read_to_string(&path) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
                text => text.context(Code::Io, || tried(&path))?,
            };
            let found = text.lines().filter_map(|line| socket(line, state));
            let found = found.filter(|(local, _)| is_wanted(local.port(), protocol));
            sockets.extend(found.map(|(local, inode)| (local, protocol, inode)));
        }
    }
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    let holders = holders()?;
    let listener = |(local, protocol, inode): (SocketAddr, Protocol, u64)| Listener {
        local,
        protocol,
        process: holders.get(&inode).cloned(),
    };
    Ok(sockets.into_iter().map(listener).collect())
}

fn tried(path: &str) -> String {
    format!("read {path}")
}

/// What a look at a process gave; `None` where it is gone, or may not be looked at.
fn if_there<T>(look: io::Result<T>) -> io::Result<Option<T>> {
    let absent = [Errno::ENOENT, Errno::ESRCH, Errno::EACCES, Errno::EPERM];
    match look {
        Err(cause)
            if absent
                .iter()
                .any(|errno| cause.raw_os_error() == Some(*errno as i32)) =>
        {
            Ok(None)
        }
        look => look.map(Some),
    }
}

/// One line: local address and inode, if it is in that state.
fn socket(line: &str, state: &str) -> Option<(SocketAddr, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.get(3)? != state {
        return None;
    }
    Some((address(words.get(1)?)?, words.get(9)?.parse().ok()?))
}

/// `0100007F:1F90`: the address in words of the machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::from(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip, port))
}

/// Processes by the inodes of their sockets.
fn holders() -> Result<HashMap<u64, Process>, Error> {
    let mut holders = HashMap::new();
    let tried = || tried("/proc");
    for entry in fs::read_dir("/proc").context(Code::Io, tried)? {
        let name = entry.context(Code::Io, tried)?.file_name();
        let id = name.to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id {
            add_holder(&mut holders, id).context(Code::Io, || format!("read /proc/{id}"))?;
        }
    }
    Ok(holders)
}

fn add_holder(holders: &mut HashMap<u64, Process>, id: u32) -> io::Result<()> {
    let of_process = format!("/proc/{id}");
    for file in if_there(fs::read_dir(format!("{of_process}/fd")))?
        .into_iter()
        .flatten()
    {
        let Some(file) = if_there(file)? else {
            continue;
        };
        let target = if_there(fs::read_link(file.path()))?;
        let inode = target.as_ref().and_then(|path| inode(path.to_str()?));
        if let Some(inode) = inode {
            let name = if_there(fs::read_to_string(format!("{of_process}/comm")))?;
            let name = name.unwrap_or_default().trim_end().to_owned();
            holders.entry(inode).or_insert(Process { id, name });
        }
    }
    Ok(())
}

/// `socket:[INODE]`
fn inode(target: &str) -> Option<u64> {
    let number = target.strip_prefix("socket:[")?.strip_suffix(']')?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 4242 1 0000000000000000 100 0 0 10 0";
        let expected = ("127.0.0.1:8080".parse().unwrap(), 4242);
        assert_eq!(socket(line, LISTEN), Some(expected));
        assert_eq!(socket(line, UNCONNECTED), None);
        let v6 = "00000000000000000000000001000000:0050";
        assert_eq!(address(v6), Some("[::1]:80".parse().unwrap()));
        for bad in ["", "0100007F", "0100007:50", "zz00007F:50", "0100007F:zzzz"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
