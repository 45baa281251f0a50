//! Matches and targets as iptables writes them: the other way round of what is read beside this.

use std::net::IpAddr;

use common::Family;

use super::{
    ADDRTYPE_LOCAL, MULTIPORT_DESTINATION, NAT_IPS, NAT_PORTS, SCTP_DEST_PORTS, SCTP_FLAGS,
};

/// Bytes of `struct xt_comment_info`, with the closing NUL.
const COMMENT: usize = 256;
/// Bytes of `struct xt_multiport_v1` and `struct xt_sctp_info`, and where in the latter the types of
/// chunks are; -1 means none.
const MULTIPORT: usize = 48;
/// Where in the former it is said of each port whether a range begins with it.
const MULTIPORT_RANGES: usize = 32;
const SCTP: usize = 292;
const SCTP_CHUNKS: usize = 268;
/// The most ports of one multiport match (`XT_MULTI_PORTS`).
const PORTS: usize = 15;

/// A match's or target's name, revision and data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name in the kernel.
    pub name: &'static str,
    /// The layout of its data.
    pub revision: u32,
    /// Its data, padded as `XT_ALIGN` does.
    pub info: Vec<u8>,
}

fn extension(name: &'static str, revision: u32, mut info: Vec<u8>) -> Extension {
    info.resize(info.len().next_multiple_of(8), 0);
    Extension {
        name,
        revision,
        info,
    }
}

/// `-m comment --comment TEXT`
pub fn comment(text: &str) -> Extension {
    let mut info = text.as_bytes().to_vec();
    info.truncate(COMMENT - 1);
    info.resize(COMMENT, 0);
    extension("comment", 0, info)
}

/// `-m addrtype --dst-type LOCAL`
pub fn local() -> Extension {
    let info = [&[0; 2][..], &ADDRTYPE_LOCAL.to_ne_bytes(), &[0; 4]].concat();
    extension("addrtype", 1, info)
}

/// `-m multiport --dports PORT,FIRST:LAST,…`; `None` for more than one match takes.
pub fn multiport(ports: &[(u16, u16)]) -> Option<Extension> {
    let mut all = Vec::new();
    for (first, last) in ports {
        let is_range = first != last;
        all.push((*first, u8::from(is_range)));
        all.extend(is_range.then_some((*last, 0)));
    }
    if all.len() > PORTS {
        return None;
    }
    let mut info = vec![MULTIPORT_DESTINATION, u8::try_from(all.len()).ok()?];
    info.extend(all.iter().flat_map(|(port, _)| port.to_ne_bytes()));
    info.resize(MULTIPORT_RANGES, 0);
    info.extend(all.iter().map(|(_, is_range)| *is_range));
    info.resize(MULTIPORT, 0);
    Some(extension("multiport", 1, info))
}

/// `-m sctp --dport FIRST:LAST`
pub fn sctp((first, last): (u16, u16)) -> Extension {
    let mut info = [first.to_ne_bytes(), last.to_ne_bytes()].concat();
    info.resize(SCTP, 0);
    let chunks = info.iter_mut().skip(SCTP_CHUNKS).step_by(3).take(4);
    chunks.for_each(|kind| *kind = u8::MAX);
    let flags = info.iter_mut().skip(SCTP_FLAGS);
    for (byte, value) in flags.zip(SCTP_DEST_PORTS.to_ne_bytes()) {
        *byte = value;
    }
    extension("sctp", 0, info)
}

/// `-j MARK --set-xmark VALUE/MASK`
pub fn set_mark(value: u32, mask: u32) -> Extension {
    let info = [value.to_ne_bytes(), mask.to_ne_bytes()].concat();
    extension("MARK", 2, info)
}

/// `-j MASQUERADE`: `struct nf_nat_ipv4_multi_range_compat` of one range, or `struct nf_nat_range`.
pub fn masquerade(family: Family) -> Extension {
    let mut info = match family {
        Family::V4 => 1u32.to_ne_bytes().to_vec(),
        Family::V6 => Vec::new(),
    };
    info.resize(
        match family {
            Family::V4 => 20,
            Family::V6 => 40,
        },
        0,
    );
    extension("MASQUERADE", 0, info)
}

/// `-j DNAT --to-destination ADDRESS:PORT`, or without a port, which stays what it is then:
/// `struct nf_nat_range2`.
pub fn dnat(to: IpAddr, port: Option<u16>) -> Extension {
    let mut addr = match to {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    addr.resize(16, 0);
    let flags = NAT_IPS | port.map_or(0, |_| NAT_PORTS);
    let (flags, port) = (flags.to_ne_bytes(), port.unwrap_or(0).to_be_bytes());
    let info = [&flags[..], &addr, &addr, &port, &port, &[0; 4]].concat();
    extension("DNAT", 2, info)
}

#[cfg(test)]
mod tests {
    use super::super::{matched, target};
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let matches = [
            (
                comment("a \"b\""),
                "-m comment --comment \"a \\\"b\\\"\"".to_owned(),
            ),
            (local(), "-m addrtype --dst-type LOCAL".into()),
            (
                multiport(&[(80, 80), (65535, 65535)]).unwrap(),
                "-m multiport --dports 80,65535".into(),
            ),
            (
                multiport(&[(1, 2), (80, 80), (8000, 9000)]).unwrap(),
                "-m multiport --dports 1:2,80,8000:9000".into(),
            ),
            (sctp((9, 9)), "-m sctp --dport 9".into()),
            (sctp((9, 99)), "-m sctp --dport 9:99".into()),
        ];
        for (written, text) in matches {
            let read = matched(written.name, written.revision, &written.info);
            assert_eq!(read, Some(text), "{written:?}");
            assert_eq!(written.info.len() % 8, 0);
        }
        assert_eq!(multiport(&[(1, 1); 16]), None);
        assert!(multiport(&[(1, 2); 7]).is_some() && multiport(&[(1, 2); 8]).is_none());
        for (family, written, text) in [
            (
                Family::V4,
                set_mark(8192, 8192),
                "-j MARK --set-xmark 0x2000/0x2000",
            ),
            (Family::V4, masquerade(Family::V4), "-j MASQUERADE"),
            (Family::V6, masquerade(Family::V6), "-j MASQUERADE"),
            (
                Family::V4,
                dnat("10.22.0.2".parse().unwrap(), Some(80)),
                "-j DNAT --to-destination 10.22.0.2:80",
            ),
            (
                Family::V4,
                dnat("10.22.0.2".parse().unwrap(), None),
                "-j DNAT --to-destination 10.22.0.2",
            ),
            (
                Family::V6,
                dnat("fd00::2".parse().unwrap(), Some(80)),
                "-j DNAT --to-destination [fd00::2]:80",
            ),
            (
                Family::V6,
                dnat("fd00::2".parse().unwrap(), None),
                "-j DNAT --to-destination fd00::2",
            ),
        ] {
            let read = target(family, written.name, written.revision, &written.info);
            assert_eq!(read.as_deref(), Some(text), "{written:?}");
        }
    }

    #[test]
    fn a_comment_is_cut_where_the_kernel_ends_it() {
        let written = comment(&"x".repeat(300));
        assert_eq!((written.info.len(), written.info.last()), (256, Some(&0)));
    }
}
