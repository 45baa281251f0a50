//! Sets of addresses as prefixes: what several have in common, and what is left of some without others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::Family;
use common::result::Prefix;

/// The first and the last address, as numbers.
type Range = (u128, u128);

/// All addresses of an IP version.
pub fn everything(family: Family) -> Prefix {
    let addr = address(family, 0);
    Prefix { addr, len: 0 }
}

/// The first address behind a prefix; `None` behind the last one.
pub fn end(prefix: &Prefix) -> Option<IpAddr> {
    let family = Family::of(prefix.addr);
    let (_, last) = range(prefix);
    (last < most(family)).then(|| address(family, last + 1))
}

/// The addresses from one up to the one behind them, or up to the last one.
pub fn between(first: IpAddr, end: Option<IpAddr>) -> Vec<Prefix> {
    let family = Family::of(first);
    let last = end.map_or(Some(most(family)), |end| number(end).checked_sub(1));
    let is_some = |last: &u128| number(first) <= *last;
    let last = last.filter(is_some);
    last.map_or_else(Vec::new, |last| split(family, (number(first), last)))
}

/// What some prefixes have without others: in order, none meeting another.
pub fn without(family: Family, some: &[Prefix], others: &[Prefix]) -> Vec<Prefix> {
    let others = complement(family, &joined(others.iter().map(range).collect()));
    common_ranges(family, &joined(some.iter().map(range).collect()), &others)
}

/// What two lists have in common, in order, none meeting another.
pub fn common(family: Family, some: &[Prefix], others: &[Prefix]) -> Vec<Prefix> {
    let [some, others] = [some, others].map(|list| joined(list.iter().map(range).collect()));
    common_ranges(family, &some, &others)
}

/// Whether an address is one of some prefixes, in order, none meeting another.
pub fn have(prefixes: &[Prefix], addr: IpAddr) -> bool {
    let behind = prefixes.partition_point(|prefix| prefix.addr <= addr);
    let before = behind.checked_sub(1).and_then(|place| prefixes.get(place));
    before.is_some_and(|prefix| prefix.has(addr))
}

/// What two lists in order have in common: each range of either is looked at once.
fn common_ranges(family: Family, some: &[Range], others: &[Range]) -> Vec<Prefix> {
    let (mut some, mut others) = (some.iter().peekable(), others.iter().peekable());
    let mut all = Vec::new();
    while let (Some((first, last)), Some((from, to))) = (some.peek(), others.peek()) {
        let both = (*first.max(from), *last.min(to));
        if both.0 <= both.1 {
            all.extend(split(family, both));
        }
        match last < to {
            true => some.next(),
            false => others.next(),
        };
    }
    all
}

/// What no range has.
fn complement(family: Family, ranges: &[Range]) -> Vec<Range> {
    let mut gaps = Vec::new();
    let mut next = Some(0);
    for (first, last) in ranges {
        match next {
            Some(from) if from < *first => gaps.push((from, first - 1)),
            _ => {}
        }
        next = (*last < most(family)).then(|| last + 1);
    }
    gaps.extend(next.map(|from| (from, most(family))));
    gaps
}

/// Ranges in order, with those made one that meet or follow each other.
fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut all: Vec<Range> = Vec::new();
    for (first, last) in ranges {
        match all.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => all.push((first, last)),
        }
    }
    all
}

/// The fewest prefixes that are a range.
fn split(family: Family, (mut first, last): Range) -> Vec<Prefix> {
    let bits = u32::from(family.bits());
    let mut all = Vec::new();
    loop {
        // As large as its beginning allows, and as its end does.
        let mut free = first.trailing_zeros().min(bits);
        while free > 0 && first + ones(free) > last {
            free -= 1;
        }
        all.push(Prefix {
            addr: address(family, first),
            len: u8::try_from(bits - free).unwrap_or(u8::MAX),
        });
        match first.checked_add(ones(free)).filter(|end| *end < last) {
            Some(end) => first = end + 1,
            None => return all,
        }
    }
}

/// A number whose lowest bits are ones.
fn ones(bits: u32) -> u128 {
    u128::MAX.checked_shr(128 - bits).unwrap_or(0)
}

fn most(family: Family) -> u128 {
    ones(u32::from(family.bits()))
}

fn range(prefix: &Prefix) -> Range {
    let bits = u32::from(Family::of(prefix.addr).bits());
    let free = ones(bits.saturating_sub(u32::from(prefix.len)));
    let first = number(prefix.addr) & !free;
    (first, first | free)
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Prefix> {
        let words = text.split_whitespace();
        words.map(|word| Prefix::from_text(word).unwrap()).collect()
    }

    fn shown(prefixes: &[Prefix]) -> String {
        let texts: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
        texts.join(" ")
    }

    #[test]
    fn prefixes_are_joined_and_cut() {
        for (some, others, left) in [
            ("10.0.0.0/8", "", "10.0.0.0/8"),
            ("10.0.0.0/9 10.128.0.0/9", "", "10.0.0.0/8"),
            ("10.0.0.0/8 10.1.0.0/16", "10.0.0.0/8", ""),
            ("0.0.0.0/0", "128.0.0.0/1", "0.0.0.0/1"),
            ("0.0.0.0/0", "", "0.0.0.0/0"),
            (
                "10.0.0.0/8 11.0.0.0/30 12.0.0.0/8",
                "9.0.0.0/7 10.128.0.0/9 11.0.0.0/31 12.0.0.0/9 12.192.0.0/10 13.0.0.0/8",
                "10.0.0.0/9 11.0.0.2/31 12.128.0.0/10",
            ),
            ("192.0.2.0/30", "192.0.2.1/32", "192.0.2.0/32 192.0.2.2/31"),
            (
                "255.255.255.254/31",
                "255.255.255.254/32",
                "255.255.255.255/32",
            ),
        ] {
            let found = without(Family::V4, &read(some), &read(others));
            assert_eq!(shown(&found), left, "{some} without {others}");
        }
        let all = without(Family::V6, &[everything(Family::V6)], &[]);
        assert_eq!(shown(&all), "::/0");
    }

    #[test]
    fn what_two_lists_have_in_common_is_the_smaller_of_each() {
        let found = common(
            Family::V4,
            &read("10.0.0.0/8 192.0.2.0/24"),
            &read("10.1.0.0/16 192.0.2.9/32 203.0.113.0/24"),
        );
        assert_eq!(shown(&found), "10.1.0.0/16 192.0.2.9/32");
    }

    #[test]
    fn an_address_is_found_among_many_prefixes() {
        let list = read("10.0.0.0/8 192.0.2.0/31 192.0.2.4/32 2001:db8::/32");
        for (addr, is_there) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("192.0.2.4", true),
            ("255.255.255.255", false),
            ("::", false),
            ("2001:db8::1", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(have(&list, addr.parse().unwrap()), is_there, "{addr}");
        }
        assert!(!have(&[], "10.0.0.0".parse().unwrap()));
    }

    #[test]
    fn a_prefix_ends_before_the_next_address() {
        let end = |text: &str| end(&read(text)[0]).map(|addr| addr.to_string());
        assert_eq!(end("10.0.0.0/8").as_deref(), Some("11.0.0.0"));
        assert_eq!(end("255.0.0.0/8"), None);
        assert_eq!(end("::/0"), None);
    }
}
