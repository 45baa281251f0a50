//! Matches and targets of xtables in the words of iptables: those of the rules that all attachments
//! share, and of rules that are usually beside them. Everything else is unknown here.
//!
//! Layouts: include/uapi/linux/netfilter/xt_*.h and nf_nat.h. Numbers are in the machine's order.

pub mod encode;

use std::net::{IpAddr, SocketAddr};

use common::result::Prefix;
use common::sys::netlink::{text, u16_at, u32_at};
use common::{Family, Protocol};

use crate::words::quoted;

/// `XT_ADDRTYPE_LOCAL`
const ADDRTYPE_LOCAL: u16 = 1 << 2;
/// In `struct xt_conntrack_mtinfo3`: `match_flags`, `invert_flags`, `state_mask`.
const CT_MATCH: usize = 146;
const CT_INVERT: usize = 148;
const CT_STATES: usize = 150;
/// `XT_CONNTRACK_STATE`
const CT_BY_STATE: u16 = 1 << 0;
/// The bits of `state_mask`, in iptables' order: `1 << (state + 1)`, and from `1 << (IP_CT_NUMBER + 1)` on
/// `XT_CONNTRACK_STATE_SNAT`, `_DNAT` and `_UNTRACKED`.
const CT_STATE_NAMES: [(u16, &str); 7] = [
    (1 << 0, "INVALID"),
    (1 << 3, "NEW"),
    (1 << 2, "RELATED"),
    (1 << 1, "ESTABLISHED"),
    (1 << 8, "UNTRACKED"),
    (1 << 6, "SNAT"),
    (1 << 7, "DNAT"),
];
/// The ports that are compared where the rule names none.
const ANY_PORT: [u8; 4] = [0, 0, 0xff, 0xff];
/// In `struct xt_sctp_info`: `flags` and `invflags`.
const SCTP_FLAGS: usize = 284;
const SCTP_INVERT: usize = 288;
/// `XT_SCTP_DEST_PORTS`
const SCTP_DEST_PORTS: u32 = 0x02;
/// `XT_MULTIPORT_DESTINATION`
const MULTIPORT_DESTINATION: u8 = 1;
/// `NF_NAT_RANGE_MAP_IPS` and `NF_NAT_RANGE_PROTO_SPECIFIED`
const NAT_IPS: u32 = 1 << 0;
const NAT_PORTS: u32 = 1 << 1;

/// A match as iptables prints it.
pub fn matched(name: &str, revision: u32, info: &[u8]) -> Option<String> {
    match (name, revision) {
        ("comment", 0) => Some(format!("-m comment --comment {}", quoted(&text(info)))),
        ("addrtype", 1) => {
            // Source types, destination types, flags.
            let fields = (u16_at(info, 0)?, u16_at(info, 2)?, u32_at(info, 4)?);
            (fields == (0, ADDRTYPE_LOCAL, 0)).then(|| "-m addrtype --dst-type LOCAL".to_owned())
        }
        ("mark", 1) => {
            let is_inverted = *info.get(8)? != 0;
            Some(mark(u32_at(info, 0)?, u32_at(info, 4)?, is_inverted))
        }
        ("conntrack", 3) => {
            let states = states(u16_at(info, CT_STATES)?)?;
            let not = match u16_at(info, CT_INVERT)? {
                0 => "",
                CT_BY_STATE => "! ",
                _ => return None,
            };
            let is_by_state = u16_at(info, CT_MATCH)? == CT_BY_STATE;
            is_by_state.then(|| format!("-m conntrack {not}--ctstate {states}"))
        }
        // Source ports, destination ports, then options and inversions.
        ("tcp" | "udp", 0) => {
            let rest = info.get(8..if name == "tcp" { 12 } else { 9 })?;
            let is_plain = info.get(..4)? == ANY_PORT && rest.iter().all(|byte| *byte == 0);
            is_plain.then_some(())?;
            Some(to_port(name, u16_at(info, 4)?, u16_at(info, 6)?))
        }
        // The other way round; flags and inversions come last.
        ("sctp", 0) => {
            let asked = (u32_at(info, SCTP_FLAGS)?, u32_at(info, SCTP_INVERT)?);
            (asked == (SCTP_DEST_PORTS, 0)).then_some(())?;
            Some(to_port(name, u16_at(info, 0)?, u16_at(info, 2)?))
        }
        ("multiport", 1) => multiport(info),
        _ => None,
    }
}

/// A mask of states as a list; `None` where it has others.
fn states(mask: u16) -> Option<String> {
    let known = CT_STATE_NAMES.iter().filter(|(bit, _)| mask & bit != 0);
    let (bits, names): (Vec<u16>, Vec<&str>) = known.copied().unzip();
    (mask != 0 && bits.iter().sum::<u16>() == mask).then(|| names.join(","))
}

fn to_port(protocol: &str, first: u16, last: u16) -> String {
    match (first, last) {
        (0, u16::MAX) => format!("-m {protocol}"),
        _ if first == last => format!("-m {protocol} --dport {first}"),
        _ => format!("-m {protocol} --dport {first}:{last}"),
    }
}

fn multiport(info: &[u8]) -> Option<String> {
    let not = if is_inverted(info)? { "! " } else { "" };
    let list = destination_ports(info)?.into_iter();
    let list: Vec<String> = list
        .map(|(first, last)| match last {
            None => first.to_string(),
            Some(last) => format!("{first}:{last}"),
        })
        .collect();
    Some(format!("-m multiport {not}--dports {}", list.join(",")))
}

/// The ports of a multiport match, with the last of each where it is a range; `None` for source ports.
///
/// `struct xt_multiport_v1`: flags, count, 15 ports, of each whether a range begins, inversion.
pub fn destination_ports(info: &[u8]) -> Option<Vec<(u16, Option<u16>)>> {
    let count = usize::from(*info.get(1)?).min(15);
    (*info.first()? == MULTIPORT_DESTINATION).then_some(())?;
    let mut all = Vec::with_capacity(count);
    let mut place = 0;
    while place < count {
        let port = |place: usize| u16_at(info, 2 + 2 * place);
        let is_range = *info.get(32 + place)? != 0;
        let last = if is_range { port(place + 1) } else { None };
        all.push((port(place)?, last));
        place += if is_range { 2 } else { 1 };
    }
    Some(all)
}

/// Whether a multiport match wants other ports than those that it has.
pub fn is_inverted(info: &[u8]) -> Option<bool> {
    info.get(47).map(|byte| *byte != 0)
}

/// A protocol that the packet must have.
pub fn protocol(number: u16) -> Option<String> {
    let protocol = Protocol::ALL
        .into_iter()
        .find(|p| u16::from(p.number()) == number);
    protocol.map(|protocol| format!("-p {protocol}"))
}

/// A comparison of the packet's mark.
pub fn mark(value: u32, mask: u32, is_inverted: bool) -> String {
    let not = if is_inverted { "! " } else { "" };
    format!("-m mark {not}--mark {value:#x}/{mask:#x}")
}

/// A target as iptables prints it. That of DNAT is `struct nf_nat_range2`: flags, first and last address,
/// first and last port.
pub fn target(family: Family, name: &str, revision: u32, info: &[u8]) -> Option<String> {
    match (name, revision) {
        ("MARK", 2) => {
            let (value, mask) = (u32_at(info, 0)?, u32_at(info, 4)?);
            Some(format!("-j MARK --set-xmark {value:#x}/{mask:#x}"))
        }
        // For IPv4 the number of ranges comes first, and is 1; a range of zeros alone means no range.
        ("MASQUERADE", 0) => {
            let ranges = u32_at(info, 0)?;
            let is_plain = ranges <= 1 && info.iter().skip(4).all(|byte| *byte == 0);
            is_plain.then(|| "-j MASQUERADE".to_owned())
        }
        ("DNAT", 2) => {
            let (flags, ports) = (u32_at(info, 0)?, info.get(36..40)?);
            let is_plain = flags | NAT_PORTS == NAT_IPS | NAT_PORTS
                && info.get(4..20)? == info.get(20..36)?
                && ports.get(..2)? == ports.get(2..)?;
            is_plain.then_some(())?;
            let addr = match family {
                Family::V4 => IpAddr::from(<[u8; 4]>::try_from(info.get(4..8)?).ok()?),
                Family::V6 => IpAddr::from(<[u8; 16]>::try_from(info.get(4..20)?).ok()?),
            };
            let port = u16::from_be_bytes(ports.get(..2)?.try_into().ok()?);
            let to = match flags & NAT_PORTS {
                0 => addr.to_string(),
                _ => SocketAddr::new(addr, port).to_string(),
            };
            Some(format!("-j DNAT --to-destination {to}"))
        }
        _ => None,
    }
}

/// A network that the packet's source (`-s`) or destination (`-d`) must be in; of all addresses nothing
/// need be said.
pub fn network(option: &str, prefix: Prefix, is_inverted: bool) -> Option<String> {
    match (prefix.len, is_inverted) {
        (0, false) => Some(String::new()),
        (0, true) => None,
        (_, false) => Some(format!("{option} {prefix}")),
        (_, true) => Some(format!("! {option} {prefix}")),
    }
}

/// A network of an address and a mask; `None` for masks with holes.
pub fn prefix(addr: &[u8], mask: &[u8]) -> Option<Prefix> {
    let len: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let is_whole = mask
        .iter()
        .skip_while(|byte| **byte == u8::MAX)
        .skip(1)
        .all(|byte| *byte == 0);
    if len != ones || !is_whole {
        return None;
    }
    let addr = match addr.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(addr).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(addr).ok()?),
    };
    let len = u8::try_from(len).ok()?;
    Some(Prefix { addr, len })
}

/// An interface that the packet came in (`-i`) or goes out by (`-o`).
pub fn interface(option: &str, name: &str, is_inverted: bool) -> String {
    let not = if is_inverted { "! " } else { "" };
    format!("{not}{option} {}", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn shared_rules_are_read_as_iptables_prints_them() {
        let local = bytes(&[&[0, 0], &4u16.to_ne_bytes(), &[0; 4]]);
        assert_eq!(
            matched("addrtype", 1, &local).unwrap(),
            "-m addrtype --dst-type LOCAL"
        );
        let comment = bytes(&[b"CNI portfwd \"x\"", &[0; 241]]);
        assert_eq!(
            matched("comment", 0, &comment).unwrap(),
            r#"-m comment --comment "CNI portfwd \"x\"""#
        );
        let mark = bytes(&[&0x2000u32.to_ne_bytes(), &0x2000u32.to_ne_bytes(), &[0; 4]]);
        assert_eq!(
            matched("mark", 1, &mark).unwrap(),
            "-m mark --mark 0x2000/0x2000"
        );
        assert_eq!(
            target(Family::V4, "MARK", 2, &mark).unwrap(),
            "-j MARK --set-xmark 0x2000/0x2000"
        );
        let one = bytes(&[&1u32.to_ne_bytes(), &[0; 16]]);
        assert_eq!(
            target(Family::V4, "MASQUERADE", 0, &one).unwrap(),
            "-j MASQUERADE"
        );
        assert_eq!(
            target(Family::V4, "MASQUERADE", 0, &[0; 40]).unwrap(),
            "-j MASQUERADE"
        );
    }

    #[test]
    fn what_would_change_the_meaning_is_not_passed_over() {
        let source = bytes(&[&4u16.to_ne_bytes(), &4u16.to_ne_bytes(), &[0; 4]]);
        assert_eq!(matched("addrtype", 1, &source), None);
        let inverted = bytes(&[&[0, 0], &4u16.to_ne_bytes(), &2u32.to_ne_bytes()]);
        assert_eq!(matched("addrtype", 1, &inverted), None);
        let to_ports = bytes(&[&1u32.to_ne_bytes(), &2u32.to_ne_bytes(), &[0; 12]]);
        assert_eq!(target(Family::V4, "MASQUERADE", 0, &to_ports), None);
        for (name, revision) in [("comment", 1), ("addrtype", 0), ("statistic", 0)] {
            assert_eq!(matched(name, revision, &[0; 256]), None, "{name}");
        }
        for name in ["addrtype", "mark", "conntrack"] {
            assert_eq!(matched(name, 1, &[]), None, "{name}");
            assert_eq!(matched(name, 3, &[]), None, "{name}");
        }
        assert_eq!(target(Family::V4, "MARK", 2, &[0; 7]), None);
    }

    #[test]
    fn the_guard_s_condition_is_told_from_its_likes() {
        let info = |matches: u16, inverts: u16, states: u16| {
            let mut info = vec![0; 164];
            for (at, value) in [
                (CT_MATCH, matches),
                (CT_INVERT, inverts),
                (CT_STATES, states),
            ] {
                info[at..at + 2].copy_from_slice(&value.to_ne_bytes());
            }
            matched("conntrack", 3, &info)
        };
        assert_eq!(info(1, 1, 0x80).unwrap(), "-m conntrack ! --ctstate DNAT");
        assert_eq!(info(1, 0, 0x80).unwrap(), "-m conntrack --ctstate DNAT");
        let new = "-m conntrack --ctstate NEW,ESTABLISHED";
        assert_eq!(info(1, 0, 0x0a).unwrap(), new);
        assert_eq!(info(1, 1, 0x0200), None);
        assert_eq!(info(1, 1, 0), None);
        assert_eq!(info(3, 1, 0x80), None);
        assert_eq!(info(1, 3, 0x80), None);
    }

    #[test]
    fn lists_of_ports_have_ranges_and_may_be_inverted() {
        let mut info = [0; 48];
        (info[0], info[1]) = (MULTIPORT_DESTINATION, 3);
        for (at, port) in [(2, 22u16), (4, 8000), (6, 9000)] {
            info[at..at + 2].copy_from_slice(&port.to_ne_bytes());
        }
        info[33] = 1;
        let read = |info: &[u8]| matched("multiport", 1, info);
        assert_eq!(read(&info).unwrap(), "-m multiport --dports 22,8000:9000");
        info[47] = 1;
        let inverted = "-m multiport ! --dports 22,8000:9000";
        assert_eq!(read(&info).unwrap(), inverted);
        assert_eq!(read(&info[..40]), None);
    }

    #[test]
    fn masks_are_prefixes_or_nothing() {
        let of = |addr: [u8; 4], mask: [u8; 4]| prefix(&addr, &mask).map(|p| p.to_string());
        assert_eq!(
            of([127, 0, 0, 0], [255, 0, 0, 0]).as_deref(),
            Some("127.0.0.0/8")
        );
        assert_eq!(
            of([10, 1, 2, 3], [255, 255, 255, 255]).as_deref(),
            Some("10.1.2.3/32")
        );
        assert_eq!(of([0; 4], [0; 4]).as_deref(), Some("0.0.0.0/0"));
        for mask in [[255, 0, 255, 0], [0, 255, 0, 0], [253, 0, 0, 0]] {
            assert_eq!(of([10, 0, 0, 0], mask), None, "{mask:?}");
        }
        assert_eq!(prefix(&[0; 3], &[255; 3]), None);
    }
}
