//! What a rule tests of a packet.

use std::net::IpAddr;

use common::Protocol;
use common::result::Prefix;

use portmap::firewall::tests_nothing;

use super::Packet;

/// One test, perhaps inverted.
pub struct Test {
    what: What,
    is_inverted: bool,
}

enum What {
    From(Prefix),
    To(Prefix),
    /// By its beginning, or whole.
    In(String),
    Out(String),
    Protocol(Option<Protocol>),
    Ports(Vec<(u16, u16)>),
    States(Vec<String>),
    Mark(u32, u32),
    Local,
    Unknown,
}

/// The tests of a match; none where every packet fulfils it.
pub fn of(part: &[String]) -> Vec<Test> {
    let (name, options) = match part.split_first() {
        Some((name, options)) => (name.as_str(), options),
        None => return Vec::new(),
    };
    if tests_nothing(part) {
        return Vec::new();
    }
    // `-p` has said so.
    if Protocol::from_text(name).is_some() && options.is_empty() {
        return Vec::new();
    }
    if let (true, [value]) = (name.starts_with('-'), options) {
        return vec![basic(name, value)];
    }
    let mut tests = Vec::new();
    let mut words = options.iter().map(String::as_str);
    let mut is_inverted = false;
    while let Some(word) = words.next() {
        if word == "!" {
            is_inverted = true;
            continue;
        }
        let what = words.next().and_then(|value| option(name, word, value));
        tests.push(Test {
            what: what.unwrap_or(What::Unknown),
            is_inverted: std::mem::take(&mut is_inverted),
        });
    }
    if tests.is_empty() {
        tests.push(Test {
            what: What::Unknown,
            is_inverted: false,
        });
    }
    tests
}

fn basic(name: &str, value: &str) -> Test {
    let (is_inverted, value) = match value.strip_prefix('!') {
        Some(value) => (true, value),
        None => (false, value),
    };
    let what = match name {
        "-s" => prefix(value).map(What::From),
        "-d" => prefix(value).map(What::To),
        "-i" => Some(What::In(value.to_owned())),
        "-o" => Some(What::Out(value.to_owned())),
        "-p" => Some(What::Protocol(Protocol::from_text(value))),
        _ => None,
    };
    Test {
        what: what.unwrap_or(What::Unknown),
        is_inverted,
    }
}

fn option(name: &str, option: &str, value: &str) -> Option<What> {
    match (name, option) {
        ("tcp" | "udp" | "sctp", "--dport") | ("multiport", "--dports") => {
            Some(What::Ports(ranges(value)?))
        }
        ("conntrack", "--ctstate") | ("state", "--state") => {
            Some(What::States(value.split(',').map(str::to_owned).collect()))
        }
        ("addrtype", "--dst-type") if value == "LOCAL" => Some(What::Local),
        ("mark", "--mark") => {
            let (value, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
            Some(What::Mark(number(value)?, number(mask)?))
        }
        _ => None,
    }
}

fn prefix(text: &str) -> Option<Prefix> {
    let length = if text.contains(':') { "/128" } else { "/32" };
    match text.contains('/') {
        true => Prefix::from_text(text),
        false => Prefix::from_text(&format!("{text}{length}")),
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn ranges(list: &str) -> Option<Vec<(u16, u16)>> {
    let range = |item: &str| {
        let (from, to) = item.split_once(':').unwrap_or((item, item));
        Some((from.parse().ok()?, to.parse().ok()?))
    };
    list.split(',').map(range).collect()
}

impl Test {
    /// Whether a packet fulfils it, where that is known.
    pub fn holds(&self, packet: &Packet, mark: Option<u32>) -> Option<bool> {
        let (into, out) = &packet.interfaces;
        let holds = match &self.what {
            What::From(prefix) => contains(*prefix, packet.from?),
            What::To(prefix) => contains(*prefix, packet.to),
            What::In(name) => is_named(name, into.as_ref()?),
            What::Out(name) => is_named(name, out.as_ref()?),
            What::Protocol(protocol) => *protocol == Some(packet.protocol),
            What::Ports(ranges) => {
                let has = |(from, to): &(u16, u16)| (*from..=*to).contains(&packet.port);
                ranges.iter().any(has)
            }
            What::States(states) => states.iter().any(|s| packet.states.contains(&s.as_str())),
            What::Mark(value, wanted) => mark? & wanted == *value,
            What::Local => packet.is_local,
            What::Unknown => return None,
        };
        Some(holds != self.is_inverted)
    }
}

/// Whether a network has an address.
pub fn contains(network: Prefix, address: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((one, kind), (other, own)) = (bits(network.addr), bits(address));
    let mask = u128::MAX.checked_shl(128 - u32::from(network.len));
    kind == own && (one ^ other) & mask.unwrap_or(0) == 0
}

fn is_named(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}
