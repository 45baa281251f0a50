//! Which traffic is limited: `unshapedSubnets` and `shapedSubnets`, lists of prefixes of the far end.

use std::net::IpAddr;

use common::decode::Object;
use common::error::{Code, Error};
use common::json::Json;
use common::result::Prefix;

/// Prefixes in one list: a place among the filters of a hook holds 4095 (`gen_new_kid` in
/// net/sched/cls_u32.c).
const MOST: usize = 4000;

/// The traffic that a limit is for, by the address of the far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subnets {
    /// All of it.
    All,
    /// All but what goes to or comes from these.
    Except(Vec<Prefix>),
    /// Only what goes to or comes from these.
    Only(Vec<Prefix>),
}

impl Subnets {
    /// Reads both keys. Host bits are cut off, as the reference does.
    ///
    /// # Errors
    /// Code 6 for anything but lists of prefixes, code 7 for overlapping prefixes or both lists.
    pub fn parse(from: Object<'_>) -> Result<Subnets, Error> {
        let except = list(from, "unshapedSubnets")?;
        let only = list(from, "shapedSubnets")?;
        match (except.is_empty(), only.is_empty()) {
            (true, true) => Ok(Subnets::All),
            (false, true) => Ok(Subnets::Except(except)),
            (true, false) => Ok(Subnets::Only(only)),
            (false, false) => Err(Error::new(
                Code::InvalidConfig,
                "unshapedSubnets and shapedSubnets are both given; only one of them can be",
            )),
        }
    }
}

fn list(from: Object<'_>, key: &'static str) -> Result<Vec<Prefix>, Error> {
    let values = from.list(key)?;
    if values.len() > MOST {
        let msg = format!("{key} has {} prefixes, more than {MOST}", values.len());
        return Err(Error::new(Code::InvalidConfig, msg));
    }
    let mut prefixes: Vec<Prefix> = Vec::new();
    for value in &values {
        prefixes.push(value.parse(
            "a prefix such as 10.0.0.0/8 or fd00::/8",
            |json| match json {
                Json::String(text) => Prefix::from_text(text).map(masked),
                _ => None,
            },
        )?);
    }
    let overlap = overlapping(&prefixes).and_then(|(other, at)| Some((other, values.get(at)?)));
    match overlap {
        Some((other, value)) => Err(value.refuse(format!("overlaps {other}"))),
        None => Ok(prefixes),
    }
}

/// A prefix that overlaps an earlier one: the earlier one, and the place of the later one. Once they
/// are sorted, one that overlaps any overlaps its neighbour.
fn overlapping(prefixes: &[Prefix]) -> Option<(Prefix, usize)> {
    let mut sorted: Vec<(Prefix, usize)> = prefixes.iter().copied().zip(0..).collect();
    sorted.sort();
    let neighbours = sorted.iter().zip(sorted.iter().skip(1));
    let mut overlaps = neighbours.filter(|((a, _), (b, _))| a.meets(b));
    overlaps
        .next()
        .map(|((a, first), (b, second))| match first < second {
            true => (*a, *second),
            false => (*b, *first),
        })
}

/// The prefix without host bits.
fn masked(prefix: Prefix) -> Prefix {
    let Prefix { addr, len } = prefix;
    let addr = match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX
                .checked_shl(32u32.saturating_sub(len.into()))
                .unwrap_or(0);
            IpAddr::V4((addr.to_bits() & mask).into())
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(len.into()))
                .unwrap_or(0);
            IpAddr::V6((addr.to_bits() & mask).into())
        }
    };
    Prefix { addr, len }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Subnets, Error> {
        match Json::parse(text.as_bytes()).unwrap() {
            Json::Object(fields) => Subnets::parse(Object::root(&fields)),
            other => panic!("{other:?}"),
        }
    }

    fn prefix(text: &str) -> Prefix {
        Prefix::from_text(text).unwrap()
    }

    #[test]
    fn a_list_longer_than_the_kernel_takes_is_refused() {
        let list = |count: u32| {
            let all: Vec<String> = (0..count)
                .map(|n| format!("\"{}/32\"", std::net::Ipv4Addr::from_bits(n)))
                .collect();
            format!(r#"{{"shapedSubnets":[{}]}}"#, all.join(","))
        };
        assert!(parse(&list(4000)).is_ok());
        let error = parse(&list(4001)).unwrap_err();
        assert!(error.msg.contains("4001 prefixes"), "{error}");
    }

    #[test]
    fn overlaps_are_found_in_any_order() {
        for (list, named) in [
            (
                ["10.1.0.0/16", "10.0.0.0/8", "10.2.0.0/16"],
                "shapedSubnets[1]",
            ),
            (
                ["10.0.0.0/8", "11.0.0.0/8", "10.255.255.255/32"],
                "shapedSubnets[2]",
            ),
            (["fd00::/8", "0.0.0.0/0", "fd00::1/128"], "shapedSubnets[2]"),
        ] {
            let quoted = list.map(|prefix| format!("\"{prefix}\"")).join(",");
            let error = parse(&format!(r#"{{"shapedSubnets":[{quoted}]}}"#)).unwrap_err();
            assert!(error.msg.contains(named), "{error}");
        }
    }

    #[test]
    fn host_bits_are_cut_off_in_both_families() {
        let subnets = parse(r#"{"UnshapedSubnets":["10.1.2.3/8","fd00:1::5/32","0.0.0.0/0"]}"#);
        assert_eq!(subnets.unwrap_err().code, Code::InvalidConfig);
        let subnets = parse(r#"{"unshapedSubnets":["10.1.2.3/8","fd00:1::5/32","::/128"]}"#);
        let expected = ["10.0.0.0/8", "fd00:1::/32", "::/128"].map(prefix);
        assert_eq!(subnets, Ok(Subnets::Except(expected.to_vec())));
        let subnets = parse(r#"{"shapedSubnets":["0.0.0.0/0","::/0"]}"#);
        let expected = ["0.0.0.0/0", "::/0"].map(prefix);
        assert_eq!(subnets, Ok(Subnets::Only(expected.to_vec())));
    }

    #[test]
    fn empty_lists_are_the_same_as_none() {
        assert_eq!(
            parse(r#"{"shapedSubnets":[],"unshapedSubnets":null}"#),
            Ok(Subnets::All)
        );
    }

    #[test]
    fn malformed_overlapping_and_contradicting_lists_are_refused() {
        let cases = [
            (r#"{"shapedSubnets":"10.0.0.0/8"}"#, Code::Decoding),
            (r#"{"shapedSubnets":["10.0.0.0"]}"#, Code::Decoding),
            (r#"{"shapedSubnets":["10.0.0.0/33"]}"#, Code::Decoding),
            (r#"{"shapedSubnets":["x"]}"#, Code::Decoding),
            (r#"{"shapedSubnets":[1]}"#, Code::Decoding),
            (r#"{"shapedSubnets":[null]}"#, Code::Decoding),
            (
                r#"{"shapedSubnets":["10.0.0.0/8","10.1.0.0/16"]}"#,
                Code::InvalidConfig,
            ),
            (
                r#"{"unshapedSubnets":["fd00::1/64","fd00::/64"]}"#,
                Code::InvalidConfig,
            ),
            (
                r#"{"unshapedSubnets":["10.0.0.0/8"],"shapedSubnets":["11.0.0.0/8"]}"#,
                Code::InvalidConfig,
            ),
        ];
        for (text, code) in cases {
            assert_eq!(parse(text).unwrap_err().code, code, "{text}");
        }
    }
}
